import { workflow, z, sleep } from '@outputai/core';
import { broken } from './steps.js';
export default workflow( { name: 'more_late', description: 'A step that fails when little of the execution timeout is left', inputSchema: z.object( { ms: z.number() } ), outputSchema: z.any(),
  fn: async input => { await sleep( input.ms ); return broken( 1 ); },
  options: { activityOptions: { retry: { initialInterval: '3s', maximumInterval: '1m', maximumAttempts: 3 } } } } );
