# The whole installation in one image; docker-compose.yml says how to run it.
#
#   docker build --build-arg BUILD_COMMIT="$(git rev-parse HEAD)" --tag pilothouse .

FROM python:3.11-slim-bookworm AS builder

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /srv/pilothouse

# pyspark and antlr4 come as source archives of pure Python: the locked setuptools, put in
# first, makes wheels of them. Nothing outside the lock is fetched, and no compiler is needed.
COPY requirements.lock ./
RUN python -m venv /opt/venv \
 && sed -n '/^setuptools==/,/^    # via/p' requirements.lock > /tmp/setuptools.lock \
 && /opt/venv/bin/pip install --no-deps --require-hashes -r /tmp/setuptools.lock \
 && /opt/venv/bin/pip install --no-deps --require-hashes --no-build-isolation --use-pep517 \
      -r requirements.lock

# Editable, because the code finds params.yaml and the panel beside itself.
COPY pyproject.toml README.md LICENSE ./
COPY app app
COPY core core
COPY serve serve
RUN /opt/venv/bin/pip install --no-deps --no-build-isolation --editable . \
 && /opt/venv/bin/python -m compileall -q app core serve


FROM python:3.11-slim-bookworm

RUN useradd --uid 10001 --create-home pilothouse \
 && install --directory --owner=pilothouse --group=pilothouse /var/lib/pilothouse

WORKDIR /srv/pilothouse
COPY --from=builder /opt/venv /opt/venv
COPY --from=builder /srv/pilothouse ./
COPY params.yaml ./
COPY .streamlit .streamlit
COPY deploy/container deploy/container

# There is no .git in the image; core/training/provenance.py reads the commit from here.
ARG BUILD_COMMIT=unknown
RUN printf '%s\n' "$BUILD_COMMIT" > BUILD_COMMIT

# GitPython, which MLflow and DVC import, would complain that there is no git.
ENV PATH=/opt/venv/bin:$PATH \
    PILOTHOUSE_HOME=/var/lib/pilothouse \
    GIT_PYTHON_REFRESH=quiet
USER 10001
VOLUME /var/lib/pilothouse

# An empty store is filled first, which means a whole training run.
HEALTHCHECK --start-period=15m --interval=30s --timeout=15s --retries=3 \
    CMD ["python", "deploy/container/healthy.py"]
CMD ["deploy/container/start.sh"]
