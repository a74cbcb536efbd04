// Runs a study from its first suggestion to its best trial: node examples/study.js [HOST:PORT]
import { categorical, connect, float, int, minimize } from '../lib/index.js'

const client = connect(process.argv[2])
try {
  const study = await client.createStudy('node-example', {
    parameters: [
      float('lr', 1e-5, 1e-1, { scale: 'log' }),
      categorical('norm', ['batch', 'layer', 'group']),
      int('groups', 1, 8, { when: { norm: 'group' } }),
    ],
    metrics: [minimize('loss')],
    maxTrials: 12,
  })
  const best = await study.optimize(async ({ lr, norm }, run) => {
    const loss = (Math.log10(lr) + 3) ** 2 + (norm === 'group' ? 0 : 0.5)
    for (let epoch = 0; epoch < 3; epoch++) await run.report(epoch, { loss: loss + 1 / (epoch + 1) })
    return loss
  })
  console.log(best?.parameters, best?.finalMeasurement?.metrics)
} finally {
  client.close()
}
