import { workflow, z } from '@outputai/core';
import { broken, slow } from './steps.js';
export default workflow( { name: 'more_notime', description: 'No time is left for another try', inputSchema: z.object( { mode: z.string() } ), outputSchema: z.any(),
  fn: async input => input.mode === 'fails' ? broken( 1 ) : slow( 3000 ),
  options: { activityOptions: { scheduleToCloseTimeout: '2s', startToCloseTimeout: '1s', retry: { initialInterval: '5s', maximumInterval: '10s', maximumAttempts: 3 } } } } );
