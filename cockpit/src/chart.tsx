// SPDX-License-Identifier: LGPL-2.1-or-later
// Small charts of our own: a sparkline for a table's cell, stacked bars for a card. Each says in words what it shows; the bars' numbers are
// also there as a table, which sighted users may open too.

import { ExpandableSection } from "@patternfly/react-core";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";

export function Sparkline({ values, label }: { values: number[]; label: string }) {
    const top = Math.max(1, ...values), width = 120, height = 24, step = width / Math.max(1, values.length);
    return (
        <svg className="jm-spark" viewBox={`0 0 ${width} ${height}`} role="img" aria-label={label} preserveAspectRatio="none">
            <line className="jm-axis" x1={0} x2={width} y1={height - 0.5} y2={height - 0.5} />
            {values.map((value, i) => value > 0 && (
                <rect key={i} className="jm-bar-plain" x={i * step} width={Math.max(1, step - 0.5)}
                      y={height - (height - 2) * value / top} height={(height - 2) * value / top} />
            ))}
        </svg>
    );
}

export interface Bar { label: string; parts: number[] }

interface BarsProps {
    title: string;
    bars: Bar[];
    /** Names of the parts, from below, and the class of each. */
    parts: [string, string][];
    show: (value: number) => string;
}

const WIDTH = 520, HEIGHT = 180, LEFT = 62, BELOW = 22, ABOVE = 8;

/** Where an axis ends that has to reach value: 1, 2 or 5 times a power of ten. */
function ceiling(value: number): number {
    const power = 10 ** Math.floor(Math.log10(value || 1));
    return [1, 2, 5, 10].map(n => n * power).find(n => n >= value) ?? value;
}

export function Bars({ title, bars, parts, show }: BarsProps) {
    const sum = (bar: Bar) => bar.parts.reduce((a, b) => a + b, 0);
    const top = ceiling(Math.max(0, ...bars.map(sum)));
    const plot = HEIGHT - BELOW - ABOVE, step = (WIDTH - LEFT) / Math.max(1, bars.length);
    const y = (value: number) => ABOVE + plot - plot * value / top;
    const every = Math.ceil(bars.length / 6);
    return (
        <>
            <svg className="jm-chart" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={`${title}, at most ${show(Math.max(0, ...bars.map(sum)))}`}>
                {[0, top / 2, top].map(value => (
                    <g key={value}>
                        <line className="jm-axis" x1={LEFT} x2={WIDTH} y1={y(value)} y2={y(value)} />
                        <text x={LEFT - 6} y={y(value) + 4} textAnchor="end">{show(value)}</text>
                    </g>
                ))}
                {bars.map((bar, i) => {
                    let below = 0;
                    return (
                        <g key={bar.label}>
                            <title>{`${bar.label}: ${bar.parts.map((value, p) => `${show(value)} ${parts[p][0]}`).join(", ")}`}</title>
                            {bar.parts.map((value, p) => {
                                below += value;
                                return value > 0 && <rect key={p} className={parts[p][1]} x={LEFT + i * step + step * 0.1} width={step * 0.8}
                                                          y={y(below)} height={Math.max(0.5, plot * value / top)} />;
                            })}
                            {i % every === 0 && <text x={LEFT + i * step} y={HEIGHT - 6}>{bar.label}</text>}
                        </g>
                    );
                })}
            </svg>
            <ExpandableSection toggleText="As a table">
                <div className="jm-scroll" tabIndex={0} role="region" aria-label={`${title}, as a table`}>
                    <Table variant="compact" borders={false} aria-label={title} gridBreakPoint="">
                        <Thead><Tr><Th>Time</Th>{parts.map(([name]) => <Th key={name}>{name}</Th>)}</Tr></Thead>
                        <Tbody>
                            {bars.filter(bar => sum(bar) > 0).map(bar => (
                                <Tr key={bar.label}><Td>{bar.label}</Td>{bar.parts.map((value, p) => <Td key={p}>{show(value)}</Td>)}</Tr>
                            ))}
                        </Tbody>
                    </Table>
                </div>
            </ExpandableSection>
        </>
    );
}
