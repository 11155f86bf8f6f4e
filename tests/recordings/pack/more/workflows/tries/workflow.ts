import { workflow, z } from '@outputai/core';
import { attempt, typed } from './steps.js';
export default workflow( {
  name: 'more_tries', description: 'Which errors are tried again, with a list of its own of those that are not',
  inputSchema: z.object( { mode: z.string() } ), outputSchema: z.any(),
  fn: async input => input.mode === 'bad_input' ? typed( 'x' as unknown as number ) : attempt( input.mode ),
  options: { activityOptions: { retry: { initialInterval: '50ms', backoffCoefficient: 1, maximumInterval: '1s', maximumAttempts: 3, nonRetryableErrorTypes: [ 'BusyError' ] } } }
} );
