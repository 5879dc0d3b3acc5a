# A server of one run or several: docker build -t seq2seq . && docker run -p 5000:5000 -v ./runs:/runs:ro seq2seq /runs/en_de
# Built in one stage, run in another: no compiler, no package manager's cache, no root.
FROM python:3.12-slim AS build
WORKDIR /build
RUN python -m venv /opt/seq2seq
ENV PATH=/opt/seq2seq/bin:$PATH
COPY constraints.txt ./
# torch for CPUs, of the pinned version, from PyTorch's own index: a tenth of the size of the one for CUDA
RUN pip install --no-cache-dir --index-url https://download.pytorch.org/whl/cpu "$(grep '^torch==' constraints.txt)"
COPY setup.cfg pyproject.toml README.md LICENSE ./
COPY seq2seq ./seq2seq
# the extra packages: exported directories, pictures, sound
RUN pip install --no-cache-dir -c constraints.txt '.[serve]' onnxruntime pillow soundfile

FROM python:3.12-slim
RUN useradd --system --uid 10001 --no-create-home seq2seq
COPY --from=build /opt/seq2seq /opt/seq2seq
ENV PATH=/opt/seq2seq/bin:$PATH PYTHONUNBUFFERED=1 HF_HUB_OFFLINE=1 HOME=/tmp
USER 10001
WORKDIR /tmp
EXPOSE 5000
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:5000/health', timeout=4)"]
# SIGTERM, which docker stop sends, answers what was asked first: give it time, docker stop --time 70
ENTRYPOINT ["seq2seq", "serve", "--host", "0.0.0.0", "--port", "5000"]
CMD ["--help"]
