import assert from 'node:assert/strict';
import { test } from 'node:test';

import { terminalSvg } from '../../tools/terminal-svg.ts';

const recording = {
  title: 'A run',
  description: 'It greets & ends.',
  command: 'greet',
  lines: [
    { atMs: 10, text: '\u001b[32m✓\u001b[39m hello <world>' },
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
