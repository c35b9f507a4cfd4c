import assert from 'node:assert/strict';
import { test } from 'node:test';

import { terminalSvg } from '../../tools/terminal-svg.ts';

const recording = {
  title: 'A run',
  description: 'It greets & ends.',
  command: 'greet',
  lines: [
    { atMs: 10, text: '\u001b[32m✓\u001b[39m hello <world>' },
    { atMs: 20, text: '' },
    { atMs: 30, text: 'first part' },
    { atMs: 60_000, text: '' },
    { atMs: 60_010, text: '\u001b[1mend\u001b[22m' },
  ],
};

test('a terminal picture shows the command and every line, with its colours', () => {
  const svg = terminalSvg(recording);
  assert.match(svg, /<tspan class="cyan">\$ greet<\/tspan>/);
  assert.match(svg, /<tspan class="green">✓<\/tspan> hello &lt;world&gt;/);
  assert.match(svg, /<tspan class="bold">end<\/tspan>/);
  assert.match(svg, /<desc id="desc">It greets &amp; ends\.<\/desc>/);
});

test('a terminal picture cuts a long wait', () => {
  const [, durationMs = ''] = /animation: scroll (\d+)ms/.exec(terminalSvg(recording)) ?? [];
  assert.ok(Number(durationMs) < 5000, durationMs);
});

test('a terminal picture shows the command and the first part in its first frame', () => {
  const [, firstRowsPx = ''] =
    /@keyframes cover \{\s*0\.000% \{ transform: translateY\((\d+)px\)/.exec(terminalSvg(recording)) ?? [];
  assert.equal(Number(firstRowsPx), 4 * 20);
});

test('a terminal picture shows its last rows to a viewer without CSS', () => {
  const svg = terminalSvg(recording).replace(/<style>.*<\/style>/s, '');
  assert.match(svg, /<g class="scroll" transform="translate\(0 0\)">/);
  assert.match(svg, /<rect class="cover" transform="translate\(0 120\)"/);
  const long = terminalSvg({
    ...recording,
    lines: Array.from({ length: 30 }, (_, atMs) => ({ atMs, text: `${atMs}` })),
  });
  assert.match(long, /<g class="scroll" transform="translate\(0 -120\)">/);
});
