import { workflow, z, FatalError, ValidationError } from '@outputai/core';
import { ApplicationFailure } from '@temporalio/workflow';
import { noop } from './steps.js';
class OrderError extends Error { constructor( m: string, public order: number ) { super( m ); } }
class FatalOrderError extends FatalError { order = 7; }
export default workflow( {
  name: 'more_throws', description: 'Throws in its own code',
  inputSchema: z.object( { mode: z.string() } ), outputSchema: z.any(),
  fn: async input => {
    await noop( 1 );
    if ( input.mode === 'error' ) { throw new Error( 'plain error in workflow' ); }
    if ( input.mode === 'type_error' ) { const nothing: any = undefined; return nothing.length; }
    if ( input.mode === 'custom' ) { throw new OrderError( 'custom error in workflow', 3 ); }
    if ( input.mode === 'string' ) { throw 'a string in workflow'; }
    if ( input.mode === 'fatal' ) { throw new FatalError( 'fatal in workflow' ); }
    if ( input.mode === 'fatal_custom' ) { throw new FatalOrderError( 'fatal order' ); }
    if ( input.mode === 'fatal_cause' ) { throw new FatalError( 'fatal with cause', { cause: new RangeError( 'inner' ) } as unknown as undefined ); }
    if ( input.mode === 'validation' ) { throw new ValidationError( 'validation in workflow' ); }
    if ( input.mode === 'app' ) { throw ApplicationFailure.nonRetryable( 'application failure', 'OrderFailure', { order: 1 } ); }
    if ( input.mode === 'app_retryable' ) { throw ApplicationFailure.retryable( 'retryable application failure', 'OrderFailure' ); }
    return { ok: true };
  }
} );
