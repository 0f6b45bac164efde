export * from './decision-log-records.ts';
export * from './request-story.ts';
export * from './story-teller.ts';
export * from './story-text.ts';
