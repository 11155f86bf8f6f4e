import { workflow, z, sendHttpRequest } from '@outputai/core';
export default workflow( { name: 'calls_together', description: 'Sends requests in parallel', inputSchema: z.any(), outputSchema: z.any(),
  fn: async input => Promise.all( input.requests.map( ( request: any ) => sendHttpRequest( request ) ) ) } );
