# A fake of the Output API. Build it with `docker build -t output-mock .`, or for both architectures with
# `docker buildx build --platform linux/amd64,linux/arm64 -t output-mock .`
ARG PYTHON=3.13

FROM python:${PYTHON}-slim AS build
# Packages for what only some need, such as EXTRAS=s3,brotli.
ARG EXTRAS=
WORKDIR /src
COPY pyproject.toml hatch_build.py README.md LICENSE ./
COPY output_mock output_mock
COPY pytest_output pytest_output
COPY contract_tests/output_contract contract_tests/output_contract
RUN python -m venv /opt/output-mock \
    && /opt/output-mock/bin/pip install --no-cache-dir ".${EXTRAS:+[${EXTRAS}]}"

FROM python:${PYTHON}-slim
LABEL org.opencontainers.image.title="output-mock" \
      org.opencontainers.image.description="A fake of the Output API, for tests" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/output-mock /opt/output-mock
# Only OUTPUT_MOCK_HOST is needed: on its own loopback interface nobody would reach it.
ENV PATH=/opt/output-mock/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    OUTPUT_MOCK_HOST=0.0.0.0 \
    OUTPUT_MOCK_NO_HEALTH_LOG=true
# For scripts, and output-mock.toml.
WORKDIR /mock
# By number, so that Kubernetes can tell that it is not root.
USER 65532:65532
EXPOSE 3001
HEALTHCHECK --interval=5s --timeout=5s --start-period=10s --retries=3 CMD ["output-mock", "health"]
ENTRYPOINT ["output-mock"]
CMD ["serve"]
