import type { AlertLabels } from './alert-history.ts';
import type { Arithmetic, Comparison, ComparisonOperator, SetOperation } from './expression.ts';
import { histogramQuantile } from './histogram-quantile.ts';
import type { ScrapedSeries } from './scraped-series.ts';

/**
 * An expression ready to be evaluated again and again: the elements that it may ever give, and which of them there are now. A
 * value may be NaN and be there, as 0/0 is in Prometheus.
 */
export interface VectorNode {
  /** By element, without the metric's name. */
  readonly labels: readonly AlertLabels[];
  readonly values: Float64Array;
  readonly present: Uint8Array;
  /** Its operands have been evaluated at that moment. */
  evaluate(nowMs: number): void;
}

function node(labels: readonly AlertLabels[], evaluate: (self: VectorNode, nowMs: number) => void): VectorNode {
  const self: VectorNode = {
    labels,
    values: new Float64Array(labels.length),
    present: new Uint8Array(labels.length),
    evaluate: (nowMs) => evaluate(self, nowMs),
  };
  return self;
}

export function selectNode(series: readonly ScrapedSeries[]): VectorNode {
  return node(
    series.map((each) => each.labels),
    ({ values, present }, nowMs) => {
      for (let i = 0; i < series.length; i++) {
        present[i] = series[i]!.has(nowMs) ? 1 : 0;
        values[i] = series[i]!.last;
      }
    },
  );
}

export function rangeNode(
  kind: 'rate' | 'increase' | 'max_over_time',
  series: readonly ScrapedSeries[],
  rangeMs: number,
): VectorNode {
  const windows = series.map((each) => each.window(rangeMs));
  const samplesMin = kind === 'max_over_time' ? 1 : 2;
  return node(
    series.map((each) => each.labels),
    ({ values, present }, nowMs) => {
      for (let i = 0; i < windows.length; i++) {
        const window = windows[i]!;
        present[i] = window.samples >= samplesMin ? 1 : 0;
        if (present[i] === 0) continue;
        if (kind === 'rate') values[i] = window.rate(nowMs);
        else values[i] = kind === 'increase' ? window.increase(nowMs) : window.max();
      }
    },
  );
}

export function absentNode(of: VectorNode, labels: AlertLabels): VectorNode {
  return node([labels], ({ values, present }) => {
    values[0] = 1;
    present[0] = of.present.includes(1) ? 0 : 1;
  });
}

export function sumNode(of: VectorNode, by: readonly string[]): VectorNode {
  const { labels, groupOf } = grouped(of.labels, (each) => kept(each, by));
  return node(labels, ({ values, present }) => {
    present.fill(0);
    for (let i = 0; i < groupOf.length; i++) {
      if (of.present[i] === 0) continue;
      const group = groupOf[i]!;
      values[group] = present[group] === 0 ? of.values[i]! : values[group]! + of.values[i]!;
      present[group] = 1;
    }
  });
}

export function quantileNode(quantile: number, of: VectorNode): VectorNode {
  const { labels, groupOf } = grouped(of.labels, ({ le, ...others }) => others);
  const bound = (i: number) =>
    of.labels[i]!['le'] === '+Inf' ? Number.POSITIVE_INFINITY : Number(of.labels[i]!['le']);
  const groups = labels.map((_, group) =>
    groupOf
      .flatMap((each, i) => (each === group && !Number.isNaN(bound(i)) ? [i] : []))
      .sort((a, b) => bound(a) - bound(b)),
  );
  const bounds = Float64Array.from(groupOf, (_, i) => bound(i));
  const presentBounds = new Float64Array(groupOf.length);
  const counts = new Float64Array(groupOf.length);
  return node(labels, ({ values, present }) => {
    for (let group = 0; group < groups.length; group++) {
      let buckets = 0;
      for (const i of groups[group]!) {
        if (of.present[i] === 0) continue;
        presentBounds[buckets] = bounds[i]!;
        counts[buckets++] = of.values[i]!;
      }
      present[group] = buckets > 0 ? 1 : 0;
      values[group] = histogramQuantile(quantile, presentBounds, counts, buckets);
    }
  });
}

export function arithmeticNode(
  operator: Arithmetic['operator'],
  left: VectorNode | number,
  right: VectorNode | number,
): VectorNode {
  const operate = ARITHMETIC[operator];
  if (typeof left === 'number') {
    if (typeof right === 'number') throw new RangeError('arithmetic of two numbers is no vector');
    return node(right.labels, ({ values, present }) => {
      present.set(right.present);
      for (let i = 0; i < values.length; i++) values[i] = operate(left, right.values[i]!);
    });
  }
  if (typeof right === 'number') {
    return node(left.labels, ({ values, present }) => {
      present.set(left.present);
      for (let i = 0; i < values.length; i++) values[i] = operate(left.values[i]!, right);
    });
  }
  const matchOf = oneToOne(left, right);
  return node(left.labels, ({ values, present }) => {
    for (let i = 0; i < values.length; i++) {
      const match = matchOf[i]!;
      present[i] = match >= 0 && left.present[i] === 1 && right.present[match] === 1 ? 1 : 0;
      values[i] = match < 0 ? Number.NaN : operate(left.values[i]!, right.values[match]!);
    }
  });
}

export function comparisonNode(
  operator: Comparison['operator'],
  left: VectorNode,
  right: VectorNode | number,
): VectorNode {
  const holds = COMPARISON[operator];
  if (typeof right === 'number') {
    return node(left.labels, ({ values, present }) => {
      values.set(left.values);
      for (let i = 0; i < values.length; i++) {
        present[i] = left.present[i] === 1 && holds(left.values[i]!, right) ? 1 : 0;
      }
    });
  }
  const matchOf = oneToOne(left, right);
  return node(left.labels, ({ values, present }) => {
    values.set(left.values);
    for (let i = 0; i < values.length; i++) {
      const match = matchOf[i]!;
      const both = match >= 0 && left.present[i] === 1 && right.present[match] === 1;
      present[i] = both && holds(left.values[i]!, right.values[match]!) ? 1 : 0;
    }
  });
}

/** `or` has the elements of both sides, those of the right one behind. */
export function setNode(
  kind: SetOperation['kind'],
  left: VectorNode,
  right: VectorNode,
  on: readonly string[] | null,
): VectorNode {
  const keyOf = (labels: AlertLabels) => labelsKey(on === null ? labels : kept(labels, on));
  const matching = (from: VectorNode, to: VectorNode) =>
    from.labels.map((labels) => to.labels.flatMap((other, i) => (keyOf(other) === keyOf(labels) ? [i] : [])));
  if (kind === 'and') {
    const matches = matching(left, right);
    return node(left.labels, ({ values, present }) => {
      values.set(left.values);
      for (let i = 0; i < values.length; i++) {
        present[i] = left.present[i] === 1 && matches[i]!.some((match) => right.present[match] === 1) ? 1 : 0;
      }
    });
  }
  const matches = matching(right, left);
  const before = left.labels.length;
  return node([...left.labels, ...right.labels], ({ values, present }) => {
    values.set(left.values);
    values.set(right.values, before);
    present.set(left.present);
    for (let i = 0; i < right.labels.length; i++) {
      const free = right.present[i] === 1 && !matches[i]!.some((match) => left.present[match] === 1);
      present[before + i] = free ? 1 : 0;
    }
  });
}

/** The same text for the same labels, in whatever order they are. */
export function labelsKey(labels: AlertLabels): string {
  return JSON.stringify(Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1)));
}

function kept(labels: AlertLabels, names: readonly string[]): AlertLabels {
  return Object.fromEntries(Object.entries(labels).filter(([name]) => names.includes(name)));
}

function grouped(all: readonly AlertLabels[], groupLabels: (labels: AlertLabels) => AlertLabels) {
  const indexes = new Map<string, number>();
  const labels: AlertLabels[] = [];
  const groupOf = all.map((each) => {
    const group = groupLabels(each);
    const key = labelsKey(group);
    const known = indexes.get(key);
    if (known !== undefined) return known;
    indexes.set(key, labels.length);
    return labels.push(group) - 1;
  });
  return { labels, groupOf };
}

/** For each element on the left the one on the right with the same labels, or -1. */
function oneToOne(left: VectorNode, right: VectorNode): readonly number[] {
  const rights = new Map(right.labels.map((labels, i) => [labelsKey(labels), i]));
  const lefts = new Set(left.labels.map(labelsKey));
  if (rights.size < right.labels.length || lefts.size < left.labels.length) {
    throw new RangeError(
      'an operation between vectors wants each element on one side to match one on the other at most',
    );
  }
  return left.labels.map((labels) => rights.get(labelsKey(labels)) ?? -1);
}

const ARITHMETIC: Readonly<Record<Arithmetic['operator'], (a: number, b: number) => number>> = {
  '+': (a, b) => a + b,
  '-': (a, b) => a - b,
  '*': (a, b) => a * b,
  '/': (a, b) => a / b,
};

const COMPARISON: Readonly<Record<ComparisonOperator, (a: number, b: number) => boolean>> = {
  '>': (a, b) => a > b,
  '<': (a, b) => a < b,
  '>=': (a, b) => a >= b,
  '<=': (a, b) => a <= b,
  '==': (a, b) => a === b,
  '!=': (a, b) => a !== b,
};
