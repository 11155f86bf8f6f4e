import { workflow, z } from '@outputai/core';
import calls from '../calls/workflow.js';
import asks from '../asks/workflow.js';
export default workflow( { name: 'calls_parent', description: 'Has a child that sends the request', inputSchema: z.any(), outputSchema: z.any(),
  fn: async input => ( { got: input.asks ? await asks( input.asks ) : await calls( input.calls ) } ) } );
