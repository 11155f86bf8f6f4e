import { workflow, z, sendHttpRequest } from '@outputai/core';
export default workflow( { name: 'more_calls', description: 'Sends one request', inputSchema: z.any(), outputSchema: z.any(),
  fn: async input => sendHttpRequest( input ) } );
