import { EventFanout, type StepPlan, type StepResult } from '../../core/index.ts';

/** Notes that the device has been lost; from then on the engine takes no request, and no step would ever say so again. */
export class DeviceWatch extends EventFanout {
  lost = false;

  constructor() {
    super([]);
  }

  override stepFinished(_plan: StepPlan, result: StepResult): void {
    if (result.status === 'device-lost') this.lost = true;
  }
}
