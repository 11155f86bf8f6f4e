import { workflow, z } from '@outputai/core';
import { condition, defineQuery, defineUpdate, setHandler } from '@temporalio/workflow';
import { make, take } from './steps.js';
const big = defineQuery<unknown, [ { n: number } ]>( 'big' ), bigUpdate = defineUpdate<unknown, [ { n: number } ]>( 'bigUpdate' );
export default workflow( { name: 'more_big', description: 'Payloads beyond the limit', inputSchema: z.object( { mode: z.string(), n: z.number() } ), outputSchema: z.any(),
  fn: async input => {
    setHandler( big, p => 'x'.repeat( p.n ) );
    setHandler( bigUpdate, p => 'x'.repeat( p.n ) );
    if ( input.mode === 'step_result' ) { return { length: ( await make( input.n ) ).length }; }
    if ( input.mode === 'step_input' ) { return { length: await take( 'x'.repeat( input.n ) ) }; }
    if ( input.mode === 'result' ) { return { text: 'x'.repeat( input.n ) }; }
    await condition( () => false );
    return {};
  },
  options: { activityOptions: { retry: { maximumAttempts: 1 } } } } );
