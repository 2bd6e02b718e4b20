// SPDX-License-Identifier: LGPL-2.1-or-later
// What came of an action, said where screen readers hear it: successes go by themselves, errors stay until they are closed.

import { Alert, AlertActionCloseButton, AlertGroup } from "@patternfly/react-core";
import { createContext, useCallback, useContext, useMemo, useState, type ReactNode } from "react";
import { asError } from "./dialog";
import { explain } from "./states";

interface Message { key: number; variant: "success" | "warning" | "danger"; title: string; text?: string }

interface Messages {
    say: (title: string) => void;
    /** Does it, and says what came of it. True: it worked. */
    attempt: (done: string, act: () => Promise<unknown>) => Promise<boolean>;
}

const Context = createContext<Messages>({ say: () => {}, attempt: async () => false });
let last = 0;

export function useMessages(): Messages {
    return useContext(Context);
}

export function MessageGroup({ children }: { children: ReactNode }) {
    const [messages, setMessages] = useState<Message[]>([]);
    const add = useCallback((message: Omit<Message, "key">) => setMessages(now => [...now.slice(-4), { ...message, key: ++last }]), []);
    const drop = (key: number) => setMessages(now => now.filter(message => message.key !== key));
    const value = useMemo<Messages>(() => ({
        say: title => add({ variant: "success", title }),
        attempt: async (done, act) => {
            try {
                await act();
                add({ variant: "success", title: done });
                return true;
            } catch (reason) {
                const error = asError(reason);
                const { title, text } = explain(error);
                add({ variant: error.denied ? "warning" : "danger", title, text });
                return false;
            }
        },
    }), [add]);

    return (
        <Context.Provider value={value}>
            {children}
            <AlertGroup isToast isLiveRegion aria-label="Messages">
                {messages.map(({ key, variant, title, text }) => (
                    <Alert key={key} variant={variant} title={title} timeout={variant === "success" ? 5000 : false} onTimeout={() => drop(key)}
                           actionClose={<AlertActionCloseButton onClose={() => drop(key)} />}>
                        {text}
                    </Alert>
                ))}
            </AlertGroup>
        </Context.Provider>
    );
}
