import { on } from 'node:events';
import type { MessagePort } from 'node:worker_threads';
import { type FileType, parse as parseDocument, type ParsedDocument } from '../../text/index.js';
import { type CutOrder, type CutPlan, cutSteps, type CutStep, planCut } from './cut-document.js';
import { type Refusal, refusalOf } from './refusal.js';

export interface ParseOrder {
  type: FileType;
  content: Uint8Array;
}

/** Carries out `order`; one message for the plan, then one for each step that is asked for, then `null`. */
export interface CutTask {
  order: CutOrder;
  port: MessagePort;
}

export type CutMessage = CutPlan | CutStep | Refusal | null;

export async function parse({ type, content }: ParseOrder): Promise<ParsedDocument | Refusal> {
  try {
    return await parseDocument(type, content);
  } catch (error) {
    return refusalOf(error);
  }
}

/** A document of few steps, in one answer. */
export interface WholeCut {
  plan: CutPlan;
  steps: CutStep[];
}

export function cutWhole(order: CutOrder): WholeCut | Refusal {
  try {
    const { plan, fresh } = planCut(order);
    return { plan, steps: [...cutSteps(fresh, order)] };
  } catch (error) {
    return refusalOf(error);
  }
}

export async function cut({ order, port }: CutTask): Promise<void> {
  const asked = requests(port);
  try {
    const { plan, fresh } = planCut(order);
    port.postMessage(plan satisfies CutMessage);
    const steps = cutSteps(fresh, order);
    // The next step is made while the one before is written, and no further ones: that bounds what waits in memory.
    for (let step = steps.next(); ; step = steps.next()) {
      await asked();
      port.postMessage((step.done ? null : step.value) satisfies CutMessage);
      if (step.done) return;
    }
  } catch (error) {
    port.postMessage(refusalOf(error) satisfies CutMessage);
  } finally {
    port.close();
  }
}

/** @returns a function that waits for the next message of the port, one for each call */
function requests(port: MessagePort): () => Promise<void> {
  const messages = on(port, 'message');
  return async () => {
    await messages.next();
  };
}
