/** What tests ask a page of the dashboard. Functions given to `evaluate` run in the browser. */

/** Pixels of each chart that have the colour of one of its lines. @param {import('playwright-core').Page} page */
export function drawnPixels(page) {
  return page.evaluate(() => {
    const near = (/** @type {number} */ a, /** @type {number} */ b) => Math.abs(a - b) < 26;
    /** @type {Record<string, number>} */
    const drawn = {};
    for (const panel of document.querySelectorAll('.panel:not([hidden])')) {
      const colours = [...panel.querySelectorAll('.swatch')].map((swatch) =>
        (getComputedStyle(swatch).borderTopColor.match(/\d+/g) ?? []).map(Number),
      );
      const canvas = /** @type {HTMLCanvasElement | null} */ (panel.querySelector('.plot canvas'));
      let count = 0;
      if (canvas !== null && canvas.width > 0) {
        // A copy: reading the page's own canvas often would change how the browser keeps it.
        const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d', { willReadFrequently: true });
        copy?.drawImage(canvas, 0, 0);
        const data = copy?.getImageData(0, 0, canvas.width, canvas.height).data ?? [];
        for (let i = 0; i < data.length; i += 4) {
          const hit = (/** @type {number[]} */ [r = 0, g = 0, b = 0]) =>
            near(data[i] ?? 0, r) && near(data[i + 1] ?? 0, g) && near(data[i + 2] ?? 0, b);
          if ((data[i + 3] ?? 0) > 120 && colours.some(hit)) count++;
        }
      }
      drawn[panel.id.replace('panel-', '')] = count;
    }
    return drawn;
  });
}

/** Texts of the figures and beside the charts' titles, by id of the element. @param {import('playwright-core').Page} page */
export function writtenValues(page) {
  return page.evaluate(() => {
    /** @type {Record<string, string>} */
    const texts = {};
    for (const tile of document.querySelectorAll('.tile'))
      texts[tile.id] = tile.querySelector('.number')?.textContent ?? '';
    for (const panel of document.querySelectorAll('.panel:not([hidden])')) {
      texts[panel.id] = [...panel.querySelectorAll('.legend-value')].map((value) => value.textContent).join(' ');
    }
    return texts;
  });
}

/** Texts whose colour stands out too little from what is behind them: W3C's WCAG 2.2, 1.4.3, level AA. @param {import('playwright-core').Page} page */
export function faintTexts(page) {
  return page.evaluate(() => {
    const channels = (/** @type {string} */ colour) => (colour.match(/[\d.]+/g) ?? []).map(Number);
    const luminance = (/** @type {number[]} */ [r = 0, g = 0, b = 0]) => {
      const [red = 0, green = 0, blue = 0] = [r, g, b].map((c) =>
        c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4,
      );
      return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
    };
    const behind = (/** @type {Element | null} */ node) => {
      for (let at = node; at !== null; at = at.parentElement) {
        const colour = channels(getComputedStyle(at).backgroundColor);
        if (colour.length === 3 || (colour[3] ?? 0) === 1) return colour;
      }
      return [255, 255, 255];
    };
    /** @type {string[]} */
    const found = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node !== null; node = walker.nextNode()) {
      const parent = node.parentElement;
      const text = node.textContent?.trim() ?? '';
      if (parent === null || text === '' || parent.closest('script, style, noscript, svg, .unseen')) continue;
      if (!parent.checkVisibility({ visibilityProperty: true, opacityProperty: true })) continue;
      const style = getComputedStyle(parent);
      const [light = 0, dark = 0] = [luminance(channels(style.color)), luminance(behind(parent))].sort((a, b) => b - a);
      const ratio = (light + 0.05) / (dark + 0.05);
      const large = Number.parseFloat(style.fontSize) >= 24;
      if (ratio < (large ? 3 : 4.5)) found.push(`"${text}" ${ratio.toFixed(2)}`);
    }
    return found;
  });
}

/** What a screen reader would stumble over: nameless controls, broken references, ids that are not unique, headings that jump. @param {import('playwright-core').Page} page */
export function unnamedParts(page) {
  return page.evaluate(() => {
    /** @type {string[]} */
    const found = [];
    for (const node of document.querySelectorAll('button, a, summary, [role="img"], [role="region"], [tabindex="0"]')) {
      const name = node.getAttribute('aria-label') ?? node.textContent ?? '';
      if (name.trim() === '') found.push(`no name: ${node.outerHTML.slice(0, 80)}`);
    }
    for (const node of document.querySelectorAll('[aria-labelledby], [aria-describedby]')) {
      for (const attribute of ['aria-labelledby', 'aria-describedby']) {
        const id = node.getAttribute(attribute);
        if (id !== null && document.getElementById(id) === null) found.push(`${attribute} ${id} is nowhere`);
      }
    }
    const ids = [...document.querySelectorAll('[id]')].map(({ id }) => id);
    found.push(...ids.filter((id, i) => ids.indexOf(id) !== i).map((id) => `id ${id} twice`));
    for (const landmark of ['header', 'main', 'footer', 'h1']) {
      if (document.querySelectorAll(landmark).length !== 1) found.push(`not one ${landmark}`);
    }
    let level = 0;
    for (const heading of document.querySelectorAll('h1, h2, h3')) {
      const own = Number(heading.tagName[1]);
      if (own > level + 1 && !heading.closest('.tiles'))
        found.push(`h${level} is followed by h${own} ${heading.textContent}`);
      level = own;
    }
    return found;
  });
}

/** How much wider than the window the page is. @param {import('playwright-core').Page} page */
export function overflow(page) {
  return page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
}
