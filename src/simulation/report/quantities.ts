/** A duration in the unit in which it reads best: `12.3 µs`, `45.6 ms`, `7.89 s`, `2 h 05 min`. `-` for none. */
export function durationText(seconds: number | null): string {
  if (seconds === null) return '-';
  if (seconds === 0) return '0 s';
  if (seconds < 1e-6) return `${digits3(seconds * 1e9)} ns`;
  if (seconds < 1e-3) return `${digits3(seconds * 1e6)} µs`;
  if (seconds < 1) return `${digits3(seconds * 1e3)} ms`;
  if (seconds < 1000) return `${digits3(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, '0')} min`;
}

/** A rate or other real number: three significant digits below a thousand, grouped whole numbers above. */
export function numberText(value: number): string {
  return Math.abs(value) < 1000 ? digits3(value) : countText(Math.round(value));
}

/** A whole number in groups of three: `1,234,567`. */
export function countText(value: number): string {
  return String(value).replace(/\B(?=(\d{3})+(?!\d))/g, ',');
}

/** A ratio as per cent: `12.3 %`; `-` for none. */
export function percentText(ratio: number | null): string {
  return ratio === null ? '-' : `${digits3(100 * ratio)} %`;
}

/** Three significant digits, without an exponent. Values that round up to 1,000 stay whole. */
function digits3(value: number): string {
  const size = Math.abs(value);
  if (size === 0) return '0';
  const decimals = size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3;
  return value.toFixed(decimals);
}
