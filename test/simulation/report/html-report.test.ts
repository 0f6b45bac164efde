import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { Script } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { HTML_SCRIPT } from '../../../src/simulation/report/html-charts.ts';
import { type HtmlReportInput, htmlReport } from '../../../src/simulation/report/html-report.ts';
import { sampleRun } from './sample-run.ts';

const UPLOT = dirname(createRequire(import.meta.url).resolve('uplot'));
const uPlotScript = readFileSync(join(UPLOT, 'uPlot.iife.min.js'), 'utf8');
const uPlotStyle = readFileSync(join(UPLOT, 'uPlot.min.css'), 'utf8');

function report(changes: Partial<HtmlReportInput> & { scenario?: string } = {}): string {
  const { run, summary } = sampleRun(changes.scenario);
  return htmlReport({
    run,
    summary,
    settings: [{ title: 'Engine', rows: [['max_num_seqs', '256']] }],
    command: 'npx twinfer replay trace.csv --seed 42',
    uPlotScript,
    uPlotStyle,
    ...changes,
  });
}

/** Text of all elements of that name. */
function contentsOf(html: string, element: 'script' | 'style'): string[] {
  return [...html.matchAll(new RegExp(`<${element}(?: [^>]*)?>([\\s\\S]*?)</${element}>`, 'g'))].map((m) => m[1]!);
}

/** Names of elements that are opened and not closed, or closed and not opened; scripts and styles by their tags only. */
function unbalanced(html: string): string[] {
  const markup = html.replace(/(<(script|style)[^>]*>)[\s\S]*?(<\/\2>)/g, '$1$3');
  const open: string[] = [];
  const wrong: string[] = [];
  for (const [, close, name] of markup.matchAll(/<(\/?)([a-z0-9]+)(?: [^<>]*)?>/g)) {
    if (name === 'meta') continue;
    if (close === '') open.push(name!);
    else if (open.pop() !== name) wrong.push(name!);
  }
  return [...wrong, ...open];
}

describe('htmlReport', () => {
  it('is one well-formed page', () => {
    const html = report();
    expect(html.startsWith('<!doctype html>')).toBe(true);
    expect(unbalanced(html)).toEqual([]);
    const text = html.replace(/(<(script|style)[^>]*>)[\s\S]*?(<\/\2>)/g, '$1$3');
    expect(text).not.toMatch(/undefined|NaN|\[object /);
    expect(contentsOf(html, 'script')[0]).not.toMatch(/undefined|NaN/);
  });

  it('asks for nothing from anywhere', () => {
    const own = report({ uPlotScript: '', uPlotStyle: '' });
    expect(own).not.toMatch(/https?:|\/\/[a-z]|@import|url\(|\s(?:src|href|srcset|action)=/i);
    const markup = report().replace(/(<(script|style)[^>]*>)[\s\S]*?(<\/\2>)/g, '$1$3');
    expect(markup).not.toMatch(/<(?:link|img|iframe|object|embed|base|form)\b|\s(?:src|href)=/i);
    expect(contentsOf(report(), 'style').join()).not.toMatch(/@import|url\(/);
  });

  it('allows exactly its own scripts and styles', () => {
    const html = report();
    const policy = /Content-Security-Policy" content="([^"]*)"/.exec(html)![1]!;
    const hashes = (texts: readonly string[]): string[] =>
      texts.map((text) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`);
    const scripts = contentsOf(html, 'script').slice(1);
    expect(scripts).toHaveLength(2);
    expect(policy.split('; ')).toEqual([
      "default-src 'none'",
      `script-src ${hashes(scripts).join(' ')}`,
      `style-src ${hashes(contentsOf(html, 'style')).join(' ')}`,
      "base-uri 'none'",
      "form-action 'none'",
    ]);
    expect(html).not.toMatch(/<[a-z][^>]* (?:style|on[a-z]+)=/);
  });

  it('holds its charts as data that scripts and people cannot break out of', () => {
    const html = report({
      scenario: '</title><script>alert(1)</script>',
      command: 'a && b <c> "d"',
      settings: [{ title: '<b>', rows: [['<i>', "'&"]] }],
    });
    expect(html).not.toContain('<script>alert');
    expect(html).toContain('a &amp;&amp; b &lt;c&gt; &quot;d&quot;');
    expect(unbalanced(html)).toEqual([]);
    const data = JSON.parse(contentsOf(html, 'script')[0]!);
    const titles = data.charts.map((chart: { title: string }) => chart.title);
    expect(titles.slice(0, 4)).toEqual([
      'Time to first token',
      'Inter-token latency',
      'Sequences, peak in each bucket',
      'KV blocks',
    ]);
    for (const chart of data.charts) {
      for (const series of chart.series) expect(series.values).toHaveLength(data.seconds.length);
    }
    expect(html.match(/data-chart="/g)).toHaveLength(data.charts.length);
  });

  it('shows troubles only when there were any', () => {
    const html = report();
    expect(html).toContain('<h3>Preemptions</h3>');
    expect(html).not.toContain('<h3>Evicted blocks per second</h3>');
  });

  it('says what was run, and whether the targets were met', () => {
    const html = report();
    const { summary } = sampleRun();
    expect(html).toContain(summary.digest);
    expect(html).toContain('Seed 42');
    expect(html).toContain('npx twinfer replay trace.csv --seed 42');
    expect(html).toContain('<td>max_num_seqs</td><td>256</td>');
    expect(html).toContain('rejected (1 never-fits)');
    expect(html).toContain('<th>ttft p99</th><td>&lt; 0.2 s</td><td>0.05 s</td><td class="pass">pass</td>');
    expect(html).toContain('<td class="fail">fail</td>');
  });

  it('has a script that is JavaScript', () => {
    expect(() => new Script(HTML_SCRIPT)).not.toThrow();
  });
});
