import { on } from 'node:events';
import type { MessagePort } from 'node:worker_threads';
import { type FileType, parse as parseDocument, type ParsedDocument } from '../../text/index.js';
import { type CutOrder, type CutPlan, cutSteps, type CutStep, planCut } from './cut-document.js';
import { type Refusal, refusalOf } from './refusal.js';

export interface ParseOrder {
  type: FileType;
  content: Uint8Array;
}

/** Executes `order`. Sends the plan, then one message for each requested step, then `null`. */
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

/** All steps of a short document, in one answer. */
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
  const nextRequest = requests(port);
  try {
    const { plan, fresh } = planCut(order);
    port.postMessage(plan satisfies CutMessage);
    const steps = cutSteps(fresh, order);
    // One step is made in advance while the previous one is written. More would need more memory.
    for (let step = steps.next(); ; step = steps.next()) {
      await nextRequest();
      port.postMessage((step.done ? null : step.value) satisfies CutMessage);
      if (step.done) return;
    }
  } catch (error) {
    port.postMessage(refusalOf(error) satisfies CutMessage);
  } finally {
    port.close();
  }
}

/** @returns a function; each call waits for one message of the port */
function requests(port: MessagePort): () => Promise<void> {
  const messages = on(port, 'message');
  return async () => {
    await messages.next();
  };
}
