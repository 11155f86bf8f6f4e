import { workflow, z } from '@outputai/core';
export default workflow( { name: 'more_small', description: 'A child that gives what it is asked for', inputSchema: z.any(), outputSchema: z.any(), fn: async input => input.n ? 'x'.repeat( input.n ) : 'small' } );
