import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { parseScenario } from '../../src/config/load-scenario.ts';
import { resolveScenario, type ScenarioOverrides } from '../../src/config/resolve-scenario.ts';
import { scenarioText } from './scenario-text.ts';

const PROFILES = join(dirname(fileURLToPath(import.meta.url)), '../../src/backends/simulated/profiles');

const H100 = 'device: {name: h100-sxm-80gb}';
const L40S = 'device: {name: l40s-48gb}';

/** `device` stands in place of the scenario's own. */
const timing = (sections: string, overrides: ScenarioOverrides = {}, device = H100) =>
  resolveScenario(parseScenario(scenarioText(sections, [H100, device]), 'x.yaml'), overrides).timing;

describe('where a run gets its times from', () => {
  it('is the calibrated model with the host of the engine, where the device has a profile', () => {
    const own = { model: 'calibrated', deviceProfile: null, host: 'twinfer', sampling: 'topP' };
    expect(timing('')).toEqual(own);
    expect(timing('engine: {profile: vllm-v1}')).toEqual({ ...own, host: 'vllm-0.15' });
    expect(timing('', { engine: { profile: 'vllm-v1' } }).host).toBe('vllm-0.15');
  });

  it('is the roofline on a device that nobody measured', () => {
    expect(timing('engine: {profile: vllm-v1}', {}, L40S)).toMatchObject({
      model: 'roofline',
      host: 'twinfer',
    });
  });

  it('is what the scenario or the flags say', () => {
    expect(timing('timing: {model: roofline, host: none, sampling: plain}')).toEqual({
      model: 'roofline',
      deviceProfile: null,
      host: 'none',
      sampling: 'plain',
    });
    expect(timing('', { timing: { host: 'vllm-0.15' } }).host).toBe('vllm-0.15');
    const host = join(PROFILES, 'vllm-0.15-host.json');
    const device = join(PROFILES, 'h100-sxm.json');
    expect(timing(`timing: {host: ${host}, device_profile: ${device}}`)).toMatchObject({ host, deviceProfile: device });
  });

  it('samples with filters where the generation config of the model is known to set them', () => {
    const mixtral = scenarioText(
      '',
      ['llama-3.1-8b', 'mixtral-8x7b'],
      [H100, 'device: {name: h100-sxm-80gb, tensor_parallel_size: 2}'],
    );
    expect(resolveScenario(parseScenario(mixtral, 'x.yaml')).timing.sampling).toBe('plain');
    expect(timing('timing: {sampling: top-k-and-top-p}').sampling).toBe('topKTopP');
  });

  it('is not calibrated on a device without a profile', () => {
    expect(() => timing('timing: {model: calibrated}', {}, L40S)).toThrow(
      /timing\.model.*calibrated is not allowed for L40S-48GB, which has no profile; allowed: roofline/,
    );
  });

  it.each([
    ['timing: {model: roofline, host: vllm-0.15}', /timing\.host.*vllm-0\.15 is not allowed with the roofline model/],
    ['timing: {model: roofline, device_profile: a.json}', /timing\.device_profile.*is not read by the roofline model/],
    ['timing: {host: vllm-9}', /timing\.host.*vllm-9 does not exist; allowed: vllm-0\.15, twinfer, none, or the path/],
    ['timing: {hosts: none}', /timing\.hosts.*unknown key/],
  ])('refuses %j', (sections, message) => {
    expect(() => timing(sections)).toThrow(message);
  });
});
