// What the package ships beside lib/: the contract's files, and types made from the comments.
import { execFileSync } from 'node:child_process'
import { cpSync, rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const here = fileURLToPath(new URL('..', import.meta.url))
const isContract = (/** @type {string} */ path) => !/\.\w+$/.test(path) || path.endsWith('.proto')

rmSync(`${here}/proto`, { recursive: true, force: true })
cpSync(`${here}/../../proto/bo_api`, `${here}/proto/bo_api`, {
  recursive: true,
  filter: (path) => isContract(path) && !path.includes('__pycache__'),
})
execFileSync(
  `${here}/node_modules/.bin/tsc`,
  ['--emitDeclarationOnly', '--allowJs', '--declaration', '--target', 'ES2022', '--module', 'NodeNext',
    '--skipLibCheck', '--outDir', 'types', 'lib/index.js'],
  { cwd: here, stdio: 'inherit' },
)
