import { step, z, FatalError } from '@outputai/core';
export const work = step( { name: 'work', description: 'Works', inputSchema: z.any(), outputSchema: z.any(),
  fn: async mode => { if ( mode === 'step_fatal' ) { throw new FatalError( 'the child\'s step broke' ); } if ( mode === 'step_error' ) { throw new Error( 'the child\'s step failed' ); } return `worked ${mode}`; } } );
