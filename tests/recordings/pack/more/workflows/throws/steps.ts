import { step, z } from '@outputai/core';
export const noop = step( { name: 'noop', description: 'Does nothing', inputSchema: z.any(), outputSchema: z.any(), fn: async () => 'done' } );
