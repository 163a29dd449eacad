import type { SagaDefinition } from './definition/saga.definition.js';
import type { SagaState, SagaView } from './saga.types.js';

/** @param definition undefined: not known to this process */
export function viewOf(state: SagaState, definition: SagaDefinition | undefined): SagaView {
  const { id, name, version, key, status, direction, step, failures, error } = state;
  const ended = status === 'done' || status === 'undone';
  return {
    id,
    name,
    version,
    key,
    status,
    direction,
    step: ended ? null : (definition?.steps[step]?.name ?? null),
    failures,
    error,
    cancel_requested: state.cancelRequested,
    created_at: state.createdAt,
    updated_at: state.updatedAt,
  };
}
