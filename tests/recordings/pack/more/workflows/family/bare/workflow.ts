import { workflow, z } from '@outputai/core';
export default workflow( { name: 'more_bare', description: 'A child that is given nothing', fn: async () => ( { bare: true } ) } );
