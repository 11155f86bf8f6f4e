import { workflow, z, FatalError } from '@outputai/core';
import { noop } from './steps.js';
export default workflow( {
  name: 'more_throws_untraced', description: 'Throws in its own code, without a trace',
  inputSchema: z.object( { mode: z.string() } ), outputSchema: z.any(), options: { disableTrace: true },
  fn: async input => {
    await noop( 1 );
    if ( input.mode === 'error' ) { throw new Error( 'plain error in workflow' ); }
    if ( input.mode === 'fatal' ) { throw new FatalError( 'fatal in workflow' ); }
    return { ok: true };
  }
} );
