/** Style sheet of the HTML report: one column on a phone, light or dark as the reader's system is. */
export const HTML_STYLE = `
:root {
  color-scheme: light dark;
  --page: #f6f7f9; --card: #ffffff; --text: #17202b; --soft: #5b6776; --line: #dde2e9; --grid: #e8ecf1;
  --good: #12773d; --bad: #b42318;
  --series-1: #2563eb; --series-2: #c2410c; --series-3: #0f766e; --fill-1: #2563eb22; --fill-3: #0f766e22;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #0f141a; --card: #171e27; --text: #e6ebf1; --soft: #98a5b5; --line: #2a3440; --grid: #222b36;
    --good: #4cc38a; --bad: #ff8b7e;
    --series-1: #6ea8fe; --series-2: #f59e5b; --series-3: #4fd1c5; --fill-1: #6ea8fe22; --fill-3: #4fd1c522;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--page); color: var(--text);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; font-variant-numeric: tabular-nums;
}
main { max-width: 1180px; margin: 0 auto; padding: 24px 20px 48px; }
h1 { font-size: 24px; line-height: 1.25; margin: 0 0 4px; overflow-wrap: anywhere; }
h2 { font-size: 17px; margin: 32px 0 10px; }
h3 { font-size: 14px; margin: 0 0 6px; }
.lead, .note { color: var(--soft); margin: 0; }
.note { font-size: 13px; margin-top: 8px; }
.cards { display: grid; grid-template-columns: repeat(4, minmax(0, 1fr)); gap: 12px; margin-top: 20px; }
.card, .panel { background: var(--card); border: 1px solid var(--line); border-radius: 10px; }
.card { padding: 12px 14px; }
.card .label { color: var(--soft); font-size: 13px; }
.card .value { font-size: 22px; font-weight: 600; line-height: 1.3; white-space: nowrap; }
.card .detail { color: var(--soft); font-size: 12px; }
.panel { padding: 14px 16px; overflow-x: auto; }
.charts { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 14px; }
.columns { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 14px; align-items: start; }
table { border-collapse: collapse; width: 100%; font-size: 14px; }
th, td { text-align: right; padding: 6px 10px; border-bottom: 1px solid var(--line); white-space: nowrap; }
tr:last-child > th, tr:last-child > td { border-bottom: 0; }
thead th { color: var(--soft); font-weight: 500; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
th:last-child, td:last-child { padding-right: 0; }
tbody th { font-weight: 500; }
.settings td:last-child { overflow-wrap: anywhere; white-space: normal; }
tr.total > * { font-weight: 600; }
.pass { color: var(--good); font-weight: 600; }
.fail { color: var(--bad); font-weight: 600; }
code, pre { font: 13px/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
pre { margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; }
.chart .uplot { font-family: inherit; }
.chart .u-legend { font-size: 12px; text-align: left; color: var(--soft); margin-top: 4px; }
.chart .u-legend th, .chart .u-legend td { border: 0; padding: 0 4px; text-align: left; font-weight: 400; }
.chart .u-legend .u-value { color: var(--text); }
.chart .u-cursor-x, .chart .u-cursor-y { border-color: var(--soft); }
@media (max-width: 760px) {
  main { padding: 16px 12px 32px; }
  .charts, .columns { grid-template-columns: minmax(0, 1fr); }
  .cards { grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 8px; }
  .card .value { font-size: 18px; }
  .panel { padding: 12px; }
  table { font-size: 12px; }
  th, td { padding: 6px 4px; }
}
@media print { body { background: none; } .panel, .card { break-inside: avoid; } }
`;
