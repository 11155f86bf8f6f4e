import { workflow, z } from '@outputai/core';
import waiting from '../waiting/workflow.js';
export default workflow( { name: 'more_above', description: 'A parent whose child waits', inputSchema: z.any(), outputSchema: z.any(), fn: async () => ( { child: await waiting( { from: 'parent' } ) } ) } );
