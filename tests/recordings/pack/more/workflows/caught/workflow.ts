import { workflow, z } from '@outputai/core';
import { attempt } from './steps.js';
const told = ( e: any ): any => e && ( { name: e.name, message: e.message, type: e.type, activityType: e.activityType, nonRetryable: e.nonRetryable, details: e.details, cause: told( e.cause ) } );
export default workflow( { name: 'more_caught', description: 'Catches a step\'s failure and tells of it', inputSchema: z.object( { mode: z.string() } ), outputSchema: z.any(),
  fn: async input => { try { await attempt( input.mode ); } catch ( e ) { return told( e ); } },
  options: { activityOptions: { retry: { maximumAttempts: 1 } } } } );
