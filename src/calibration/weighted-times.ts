/** Times of which some stand for several: mean and percentiles of what they stand for. */
export class WeightedTimes {
  private readonly times: number[] = [];
  private readonly weights: number[] = [];
  private sum = 0;
  private weight = 0;

  add(time: number, weight: number): void {
    this.times.push(time);
    this.weights.push(weight);
    this.sum += time * weight;
    this.weight += weight;
  }

  addAll({ times, weights }: WeightedTimes): void {
    for (let i = 0; i < times.length; i++) this.add(times[i]!, weights[i]!);
  }

  mean(): number {
    return this.sum / this.weight;
  }

  /** Linear between the neighbours, as numpy's default where all weights are 1. NaN of nothing. */
  percentile(share: number): number {
    const order = Array.from(this.times.keys()).sort((a, b) => this.times[a]! - this.times[b]!);
    const wanted = share * (this.weight - 1);
    let before = 0;
    for (let i = 0; i < order.length; i++) {
      const time = this.times[order[i]!]!;
      const weight = this.weights[order[i]!]!;
      // A time stands for places `before` to `before + weight - 1`.
      if (wanted <= before + weight - 1 || i === order.length - 1) return time;
      const next = this.times[order[i + 1]!]!;
      if (wanted < before + weight) return time + (wanted - (before + weight - 1)) * (next - time);
      before += weight;
    }
    return Number.NaN;
  }
}
