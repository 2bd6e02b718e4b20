// SPDX-License-Identifier: LGPL-2.1-or-later
// A field of a form: label, input, and what is to be known of it, tied together for screen readers.

import { FormGroup, FormHelperText, FormSelect, FormSelectOption, HelperText, HelperTextItem, TextArea, TextInput } from "@patternfly/react-core";
import { useId } from "react";

interface FieldProps {
    label: string;
    value: string;
    change: (value: string) => void;
    help?: string;
    error?: string;
    required?: boolean;
    lines?: number;
    type?: "text" | "number" | "datetime-local" | "search";
    placeholder?: string;
    /** Instead of a text: one of these values, with its name. */
    choices?: [string, string][];
}

export function Field({ label, value, change, help, error, required, lines, type = "text", placeholder, choices }: FieldProps) {
    const id = useId();
    const described = help || error ? { "aria-describedby": `${id}-help` } : {};
    const validated = error ? "error" : "default";
    return (
        <FormGroup label={label} fieldId={id} isRequired={required}>
            {choices
                ? <FormSelect id={id} value={value} onChange={(_event, now) => change(now)} {...described}>
                      {choices.map(([key, name]) => <FormSelectOption key={key} value={key} label={name} />)}
                  </FormSelect>
                : lines
                    ? <TextArea id={id} value={value} rows={lines} onChange={(_event, now) => change(now)} resizeOrientation="vertical" isRequired={required} validated={validated} {...described} />
                    : <TextInput id={id} value={value} type={type} onChange={(_event, now) => change(now)} isRequired={required} validated={validated} placeholder={placeholder} {...described} />}
            {(help || error) &&
                <FormHelperText>
                    <HelperText><HelperTextItem id={`${id}-help`} variant={error ? "error" : "default"}>{error ?? help}</HelperTextItem></HelperText>
                </FormHelperText>}
        </FormGroup>
    );
}

/** A field of a filter: as small as it can be. */
export function Filter({ label, value, change, choices, wide }: { label: string; value: string; change: (value: string) => void; choices?: [string, string][]; wide?: boolean }) {
    const id = useId();
    return (
        <div className={wide ? "jm-field jm-search" : "jm-field"}>
            <label htmlFor={id}>{label}</label>
            {choices
                ? <FormSelect id={id} value={value} onChange={(_event, now) => change(now)}>
                      {choices.map(([key, name]) => <FormSelectOption key={key} value={key} label={name} />)}
                  </FormSelect>
                : <TextInput id={id} type="search" value={value} onChange={(_event, now) => change(now)} />}
        </div>
    );
}
