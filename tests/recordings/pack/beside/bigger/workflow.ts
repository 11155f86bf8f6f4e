import { workflow, z, FatalError } from '@outputai/core';
import { condition, continueAsNew, defineSignal, setHandler } from '@temporalio/workflow';
import { make, take, fails } from './steps.js';
import small from '../small/workflow.js';
const big = defineSignal<[ { n: number } ]>( 'make' );
export default workflow( { name: 'more_bigger', description: 'More payloads beyond the limit', inputSchema: z.object( { mode: z.string(), n: z.number(), text: z.string().optional() } ), outputSchema: z.any(),
  fn: async ( input, context ) => {
    const text = 'x'.repeat( input.n );
    if ( input.mode === 'child_input' ) { return { child: ( await small( { text } ) ) }; }
    if ( input.mode === 'child_result' ) { return { child: ( ( await small( { n: input.n } ) ) as string ).length }; }
    if ( input.mode === 'continue' ) { if ( input.n < 10 ) { return { done: true }; } return continueAsNew( { mode: 'continue', n: 1, text } ); }
    if ( input.mode === 'fails' ) { throw new FatalError( text ); }
    if ( input.mode === 'caught' ) { try { await make( input.n ); } catch ( e: any ) { return { caught: e.name, message: e.message, cause: e.cause?.name, words: e.cause?.message }; } }
    if ( input.mode === 'retried' ) { return { length: ( ( await make( input.n ) ) as string ).length }; }
    if ( input.mode === 'step_fails' ) { try { await fails( input.n ); } catch ( e: any ) { return { caught: e.cause?.name, length: e.cause?.message?.length }; } }
    if ( input.mode === 'step_result' ) { return { length: ( ( await make( input.n ) ) as string ).length }; }
    if ( input.mode === 'step_input' ) { return { length: await take( text ) }; }
    if ( input.mode === 'result' ) { return text; }
    if ( input.mode === 'signalled' ) { await condition( () => false ); }
    return {};
  },
  options: { activityOptions: { retry: { initialInterval: '50ms', maximumInterval: '1s', maximumAttempts: 3 } } } } );
