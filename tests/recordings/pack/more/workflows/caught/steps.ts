import { step, z, FatalError, ValidationError } from '@outputai/core';
import { ApplicationFailure, Context } from '@temporalio/activity';
class BusyError extends Error {}
class GoneError extends FatalError {}
export const attempt = step( { name: 'attempt', description: 'Fails', inputSchema: z.any(), outputSchema: z.any(),
  fn: async mode => {
    const n = Context.current().info.attempt;
    if ( mode === 'fatal' ) { throw new FatalError( `fatal ${n}` ); }
    if ( mode === 'fatal_subclass' ) { throw new GoneError( `gone ${n}` ); }
    if ( mode === 'validation' ) { throw new ValidationError( `invalid ${n}` ); }
    if ( mode === 'busy' ) { throw new BusyError( `busy ${n}` ); }
    if ( mode === 'app' ) { throw ApplicationFailure.nonRetryable( `app ${n}`, 'StepFailure', { n } ); }
    if ( mode === 'app_retryable' ) { throw ApplicationFailure.retryable( `app ${n}`, 'StepFailure' ); }
    throw new Error( `error ${n}` );
  } } );
export const typed = step( { name: 'typed', description: 'Takes a number', inputSchema: z.number(), outputSchema: z.number(), fn: async v => v } );
