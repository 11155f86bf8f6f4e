import { workflow, z, sleep } from '@outputai/core';
import { quick } from './steps.js';
export default workflow( { name: 'more_sleeps', description: 'Sleeps of no length', inputSchema: z.object( { ms: z.array( z.any() ) } ), outputSchema: z.any(),
  fn: async input => { for ( const ms of input.ms ) { await sleep( ms ); } return quick( input.ms ); } } );
