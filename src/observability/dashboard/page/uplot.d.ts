/** In the page as a script of its own, before the page's. */
declare const uPlot: {
  new (options: object, data: unknown, place: HTMLElement): unknown;
};
