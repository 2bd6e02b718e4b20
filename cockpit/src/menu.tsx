// SPDX-License-Identifier: LGPL-2.1-or-later
// The menu of actions at the end of a row, or of a page's head.

import { Dropdown, DropdownItem, DropdownList, MenuToggle } from "@patternfly/react-core";
import { EllipsisVIcon } from "@patternfly/react-icons";
import { useState } from "react";

export interface Action { title: string; danger?: boolean; disabled?: boolean; act: () => void }

export function Menu({ label, actions }: { label: string; actions: Action[] }) {
    const [open, setOpen] = useState(false);
    return (
        <Dropdown isOpen={open} onOpenChange={setOpen} onSelect={() => setOpen(false)} popperProps={{ position: "right" }} shouldFocusToggleOnSelect
                  toggle={ref => (
                      <MenuToggle ref={ref} variant="plain" isExpanded={open} onClick={() => setOpen(!open)} aria-label={label} icon={<EllipsisVIcon />} />
                  )}>
            <DropdownList aria-label={label}>
                {actions.map(({ title, danger, disabled, act }) => (
                    <DropdownItem key={title} isDanger={danger} isDisabled={disabled} onClick={act}>{title}</DropdownItem>
                ))}
            </DropdownList>
        </Dropdown>
    );
}
