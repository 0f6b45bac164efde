// Colours: of the system, or as chosen; charts ask for them by name when they draw.

const CHOICES = ['system', 'light', 'dark'];
const KEY = 'twinfer-dashboard-theme';

/** @type {Map<string, string>} */
const colours = new Map();

/** Value of a colour of the style sheet, such as `--blue`. @param {string} name @returns {string} */
export function colour(name) {
  let value = colours.get(name);
  if (value === undefined) {
    value = getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
    colours.set(name, value);
  }
  return value;
}

/** The colours are `#rrggbb`. @param {string} name @param {number} alpha 0 to 1 */
export function translucent(name, alpha) {
  const byte = Math.round(Math.min(1, Math.max(0, alpha)) * 255);
  return `${colour(name)}${byte.toString(16).padStart(2, '0')}`;
}

/** Storage may be forbidden (a page opened from a file). */
function stored() {
  try {
    return localStorage.getItem(KEY) ?? 'system';
  } catch {
    return 'system';
  }
}

/** @param {string} choice */
function store(choice) {
  try {
    localStorage.setItem(KEY, choice);
  } catch {
    // It is kept for as long as the page is open.
  }
}

/** @param {HTMLElement} button @param {() => void} changed */
export function startTheme(button, changed) {
  let choice = CHOICES.includes(stored()) ? stored() : 'system';
  const system = matchMedia('(prefers-color-scheme: dark)');
  const apply = () => {
    const light = choice === 'light' || (choice === 'system' && !system.matches);
    document.documentElement.dataset['theme'] = light ? 'light' : 'dark';
    button.setAttribute('aria-label', `Colours: ${choice === 'system' ? 'as the system' : choice}`);
    button.title = `Colours: ${choice === 'system' ? 'as the system' : choice}`;
    button.dataset['choice'] = choice;
    colours.clear();
    changed();
  };
  button.addEventListener('click', () => {
    choice = CHOICES[(CHOICES.indexOf(choice) + 1) % CHOICES.length] ?? 'system';
    store(choice);
    apply();
  });
  system.addEventListener('change', apply);
  apply();
}
