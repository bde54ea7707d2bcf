import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { Fault, toFault } from '#lib/fault.ts';
import type { Metrics } from '../metrics.ts';

/** Every failure of the people's listener leaves as `{error: Fault}` with the status of its row. */
export function answerFaults(app: FastifyInstance, metrics: Metrics): void {
  app.setErrorHandler((error: FastifyError, request, reply) => {
    const fault = faultOf(error);
    metrics.faults.inc({ code: fault.code });
    if (fault.row.status >= 500) request.log.error({ fault, cause: fault.cause }, 'request failed');
    return sendFault(reply, fault);
  });
  app.setNotFoundHandler((_request: FastifyRequest, reply) =>
    sendFault(
      reply,
      new Fault('resource.unknown', 'there is nothing here', {
        hint: 'the interface is described at `/wb/v1/openapi.json`',
      }),
    ),
  );
}

export function sendFault(reply: FastifyReply, fault: Fault): FastifyReply {
  const answered = fault.code === 'internal.unexpected' ? unexpected : fault;
  return reply.code(fault.row.status).header('cache-control', 'no-store').send({ error: answered.toJSON() });
}

/** What was not foreseen may name paths and addresses of this machine: its words go to the log only. */
const unexpected = new Fault('internal.unexpected', 'weighbridge failed unexpectedly; its log says more');

/** Fastify's own refusals of a request (schema, size, syntax) as Faults. */
function faultOf(error: FastifyError): Fault {
  if (error.validation !== undefined) return new Fault('request.invalid', error.message);
  if (error.statusCode === 413) return new Fault('limit.exceeded', 'the request body is too large');
  if (error.code?.startsWith('FST_ERR_CTP') || error instanceof SyntaxError) {
    return new Fault('json.invalid', 'the request body is not JSON');
  }
  if (typeof error.statusCode === 'number' && error.statusCode >= 400 && error.statusCode < 500) {
    return new Fault('request.invalid', error.message);
  }
  return toFault(error);
}
