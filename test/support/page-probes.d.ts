import type { Page } from 'playwright-core';

export function drawnPixels(page: Page): Promise<Record<string, number>>;
export function writtenValues(page: Page): Promise<Record<string, string>>;
export function faintTexts(page: Page): Promise<string[]>;
export function unnamedParts(page: Page): Promise<string[]>;
export function overflow(page: Page): Promise<number>;
