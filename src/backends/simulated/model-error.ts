/** A model description that cannot be simulated. The message names the model, the field and what is wrong with it. */
export class ModelError extends Error {
  readonly field: string;

  constructor(model: string, field: string, problem: string) {
    super(`model ${model}: ${field}: ${problem}`);
    this.name = 'ModelError';
    this.field = field;
  }
}
