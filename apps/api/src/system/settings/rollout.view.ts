import type { ReplicaStatus, Rollout } from '@yuxi/config-sync';
import type { z } from 'zod';
import type { replicaView, rolloutView } from './settings.schemas.js';

export function toReplicaView({ silentMs, ...replica }: ReplicaStatus): z.output<typeof replicaView> {
  return { ...replica, silent_ms: silentMs };
}

export function toRolloutView({ replicas, ...rollout }: Rollout): z.output<typeof rolloutView> {
  return { ...rollout, replicas: replicas.map(toReplicaView) };
}
