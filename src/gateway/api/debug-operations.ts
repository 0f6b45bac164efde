import type { Operation } from './openapi.ts';

/** The endpoints under /debug, for the person on call. */
export const DEBUG_OPERATIONS: readonly Operation[] = [
  {
    method: 'get',
    path: '/debug/alerts',
    summary: "Alerts that are pending or firing, by the server's own judgement",
    tag: 'admin',
    answer: 'AdminResult',
  },
  {
    method: 'get',
    path: '/debug/state',
    summary:
      'Why it is stuck: queues and what they wait for, steps in flight, who holds the blocks; also while the engine hangs',
    tag: 'admin',
    answer: 'AdminResult',
  },
  {
    method: 'post',
    path: '/debug/audit',
    summary: 'Compare the reference count of every KV block with the tables of live sequences',
    tag: 'admin',
    answer: 'AdminResult',
  },
  {
    method: 'get',
    path: '/debug/leaks',
    summary: 'KV blocks that have not come back, by request',
    tag: 'admin',
    answer: 'AdminResult',
  },
  {
    method: 'get',
    path: '/debug/blocks/{block}',
    summary: 'The allocation log of one KV block',
    tag: 'admin',
    answer: 'AdminResult',
  },
  {
    method: 'get',
    path: '/debug/flight_recorder',
    summary: 'The last steps, one line each',
    tag: 'admin',
    answer: 'AdminResult',
  },
  {
    method: 'post',
    path: '/debug/profile/start',
    summary: 'Begin a capture of the CUDA profiler (needs backend cuda)',
    tag: 'admin',
    errors: [501],
  },
  {
    method: 'post',
    path: '/debug/profile/stop',
    summary: 'End a capture of the CUDA profiler (needs backend cuda)',
    tag: 'admin',
    errors: [501],
  },
];
