// SPDX-License-Identifier: LGPL-2.1-or-later
// Dialogs: a question, or a form, whose button does something. It stays open with the error where that fails, and says so while it works.

import { Button, Form, Modal, ModalBody, ModalFooter, ModalHeader } from "@patternfly/react-core";
import { createContext, useCallback, useContext, useId, useState, type ReactNode } from "react";
import { MillError } from "./mill";
import { Problem } from "./states";

interface DialogProps {
    title: string;
    button: string;
    danger?: boolean;
    children: ReactNode;
    act: () => Promise<unknown>;
    close: () => void;
}

export function asError(reason: unknown): MillError {
    return reason instanceof MillError ? reason : new MillError("invalid", reason instanceof Error ? reason.message : String(reason));
}

export function Dialog({ title, button, danger, children, act, close }: DialogProps) {
    const [busy, setBusy] = useState(false);
    const [error, setError] = useState<MillError>();
    const id = useId();

    async function run() {
        setBusy(true);
        setError(undefined);
        try {
            await act();
            close();
        } catch (reason) {
            setError(asError(reason));
            setBusy(false);
        }
    }

    return (
        <Modal isOpen variant="medium" onClose={close} aria-labelledby={id} className="jm-dialog">
            <ModalHeader title={title} labelId={id} />
            <ModalBody tabIndex={0} aria-label={title}>
                {error && <Problem error={error} />}
                <Form id={`${id}-form`} onSubmit={event => { event.preventDefault(); void run(); }}>{children}</Form>
            </ModalBody>
            <ModalFooter>
                <Button type="submit" form={`${id}-form`} variant={danger ? "danger" : "primary"} isLoading={busy} isDisabled={busy}>{button}</Button>
                <Button variant="link" onClick={close}>Back</Button>
            </ModalFooter>
        </Modal>
    );
}

/** open(made): shows the dialog that made returns, which closes by its argument. One at a time. */
type Open = (make: (close: () => void) => ReactNode) => void;
const Opener = createContext<Open>(() => {});

export function useDialog(): Open {
    return useContext(Opener);
}

export function Dialogs({ children }: { children: ReactNode }) {
    const [made, setMade] = useState<ReactNode>(null);
    const open = useCallback<Open>(make => setMade(make(() => setMade(null))), []);
    return <Opener.Provider value={open}>{children}{made}</Opener.Provider>;
}
