// Numbers and times as the page writes them.

/** From which size on, divided by what. 10,000 and more get three digits and a letter: read at a glance. */
const SCALES = [
  { from: 1e9, by: 1e9, letter: 'G' },
  { from: 1e6, by: 1e6, letter: 'M' },
  { from: 1e4, by: 1e3, letter: 'k' },
];

/** @param {number} value @param {number} digits */
function significant(value, digits) {
  return String(Number(value.toPrecision(digits)));
}

/** @param {number} value */
function counted(value) {
  const size = Math.abs(value);
  const scale = SCALES.find(({ from }) => size >= from);
  if (scale !== undefined) return `${significant(value / scale.by, 3)} ${scale.letter}`;
  return size >= 1000 ? Math.round(value).toLocaleString('en-US') : significant(value, 3);
}

/** @param {number} value seconds */
function duration(value) {
  if (value === 0) return '0 ms';
  if (value < 0.001) return `${significant(value * 1e6, 3)} µs`;
  if (value < 1) return `${significant(value * 1e3, 3)} ms`;
  if (value < 120) return `${significant(value, 3)} s`;
  return `${significant(value / 60, 3)} min`;
}

/** @param {number} value 0 to 100 */
function percent(value) {
  return `${value !== 0 && Math.abs(value) < 1 ? significant(value, 2) : significant(value, 3)} %`;
}

/**
 * A value with its unit.
 * @param {number | null | undefined} value @param {string} unit of the panel @returns {string}
 */
export function formatValue(value, unit) {
  if (value === null || value === undefined) return '–';
  switch (unit) {
    case 'seconds':
      return duration(value);
    case 'ratio':
      return percent(value * 100);
    case 'percent':
      return percent(value);
    case 'state':
      return value === 1 ? 'up' : 'down';
    case 'tokens/s':
    case 'requests/s':
      return `${counted(value)}/s`;
    case 'per minute':
      return `${counted(value)}/min`;
    default:
      return counted(value);
  }
}

/** Of an axis: without what the title says already. @param {number} value @param {string} unit */
export function formatTick(value, unit) {
  if (unit === 'seconds' && value >= 1 && value < 1000) return `${significant(value, 3)} s`;
  if (unit === 'seconds' || unit === 'ratio' || unit === 'percent') return formatValue(value, unit);
  return counted(value);
}

/** @param {number} value */
function twoDigits(value) {
  return String(value).padStart(2, '0');
}

/** Times since 1970 lie above this; those of a simulated run begin at 0. */
const EPOCH_SECONDS_MIN = 1e9;

/** A time of day, or since the run began. @param {number} seconds @param {boolean} [withSeconds] */
export function formatTime(seconds, withSeconds = true) {
  if (seconds >= EPOCH_SECONDS_MIN) {
    const date = new Date(seconds * 1000);
    const text = `${twoDigits(date.getHours())}:${twoDigits(date.getMinutes())}`;
    return withSeconds ? `${text}:${twoDigits(date.getSeconds())}` : text;
  }
  const whole = Math.round(seconds);
  const text = `${Math.floor(whole / 3600)}:${twoDigits(Math.floor(whole / 60) % 60)}`;
  return withSeconds ? `${text}:${twoDigits(whole % 60)}` : text;
}

/** How long ago, coarsely. @param {number} seconds */
export function formatAge(seconds) {
  if (seconds < 60) return `${Math.max(0, Math.round(seconds))} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  return `${Math.floor(seconds / 3600)} h ${twoDigits(Math.floor(seconds / 60) % 60)} min`;
}
