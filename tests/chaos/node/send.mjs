// Send spans with OpenTelemetry's JavaScript exporters until standard input closes; print the ids
// of each batch once it is acknowledged. A batch that is refused is sent again.
//   node send.mjs json|proto|grpc ADDRESS
import { BasicTracerProvider } from "@opentelemetry/sdk-trace-base";
import { OTLPTraceExporter as Grpc } from "@opentelemetry/exporter-trace-otlp-grpc";
import { OTLPTraceExporter as Json } from "@opentelemetry/exporter-trace-otlp-http";
import { OTLPTraceExporter as Proto } from "@opentelemetry/exporter-trace-otlp-proto";

const [kind, address] = process.argv.slice(2);
const exporter =
  kind === "grpc"
    ? new Grpc({ url: `http://${address}`, timeoutMillis: 3000 })
    : new (kind === "json" ? Json : Proto)({
        url: `${address}/v1/traces`,
        compression: "gzip",
        timeoutMillis: 3000,
      });

let ended = [];
const provider = new BasicTracerProvider({
  spanProcessors: [
    {
      onStart() {},
      onEnd(span) {
        ended.push(span);
      },
      forceFlush: async () => {},
      shutdown: async () => {},
    },
  ],
});
const tracer = provider.getTracer("chaos");

let stopping = false;
process.stdin.on("end", () => (stopping = true));
process.stdin.resume();

const exported = (batch) =>
  new Promise((resolve) => exporter.export(batch, (result) => resolve(result.code === 0)));
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

while (!stopping) {
  ended = [];
  for (let n = 0; n < 32; n++) tracer.startSpan(`step ${n}`, { attributes: { n } }).end();
  const batch = ended;
  let done = false;
  while (!done && !stopping) {
    done = await exported(batch);
    if (!done) await pause(50);
  }
  if (done) {
    const ids = batch.map((span) => `${span.spanContext().traceId}-${span.spanContext().spanId}`);
    process.stdout.write(JSON.stringify(ids) + "\n");
  }
}
process.exit(0);
