import { step, z, FatalError } from '@outputai/core';
export const tool = step( { name: 'tool', description: 'A step that workflows share', inputSchema: z.any(), outputSchema: z.any(),
  fn: async v => { if ( v === 'fail' ) { throw new FatalError( 'the tool broke' ); } return `tool ${v}`; } } );
