"""Where the files of published results are, byte for byte: what `scaling.published` fetches and checks."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RemoteFile:
    """One file at a fixed commit."""

    url: str
    path: str
    """Inside the repository, and inside the cache folder of its source."""
    bytes: int
    sha256: str


def _files(repository: str, commit: str, listed: str) -> tuple[RemoteFile, ...]:
    """One file a line: SHA-256, size in bytes, path."""
    base = f"https://raw.githubusercontent.com/{repository}/{commit}"
    rows = (line.split() for line in listed.strip().splitlines())
    return tuple(RemoteFile(f"{base}/{path}", path, int(size), sha256) for sha256, size, path in rows)


SCHEDULES = _files(
    "thu-yao-01-luo/MultiPowerLaw",
    "8da9f1902602f3391b971a811e3cc51604541769",
    """
     034a75e2415373a9be1097e9d406f98524344f4718d200d3a188dcbd5115103b 3527 loss_curve_repo/csv_100/constant_24000.csv
     52b5752009e1e4c396f15016e98897238fccb3816f58576ea944f03fe529dbc3 11352 loss_curve_repo/csv_100/constant_72000.csv
     dd544dc61a11fa138c98ac0b673d5512287062d2d2d2e9c2867976abc8c46e69 6128 loss_curve_repo/csv_100/cosine_24000.csv
     2e637203b48b3e3a84063f49035cde2f6a40c69ecd15d95b6551774b9a279f44 19761 loss_curve_repo/csv_100/cosine_72000.csv
     e66df98c85dba705ebc85512c6a09a8ebec5675878a20d4d783c0bf80d031002 4008 loss_curve_repo/csv_100/wsd_20000_24000.csv
     33cfea673dc0efde9e4fd74cc47d8daabdebfdc6d5a2659835bd780347f6e651 2294 loss_curve_repo/csv_100/wsdcon_18.csv
     a1cbb8c730ae0628d69bb1d7aefadbad5cda5f6a92272f85203cd33d7b8f4912 3235 loss_curve_repo/csv_100/wsdcon_3.csv
     510256497a0ea9d4270919fb37c56140e1b4d07e50b96b46334891ba316f144e 2170 loss_curve_repo/csv_100/wsdcon_9.csv
     0ef6b02e260ff5efa51a5885655ead8cf126a7e9c4ea3034d403e11852c06fe2 3930 loss_curve_repo/csv_100/wsdld_20000_24000.csv
     5a7c0b440751e258e7199eeefe9f0ae58520a2f2d64c5f81524d8d375f75f0ce 3523 loss_curve_repo/csv_25/constant_24000.csv
     99ee51a9be7b7fb71511d0af28edd6bc6221350d2ad26a66c615467cb5c83247 11364 loss_curve_repo/csv_25/constant_72000.csv
     554e35f9efbe28a614c9ae1121b3bf55490df6b72a5898957f68a52770038e3a 6135 loss_curve_repo/csv_25/cosine_24000.csv
     af3b25a485966a0f7fc34824774cf8ec85af14848a6dc7b64d6a8d3d044befa5 19747 loss_curve_repo/csv_25/cosine_72000.csv
     8649b7de4b4b31db5c35f4ff0458af9472a50168177de6372c3ceb37ace9fc62 3988 loss_curve_repo/csv_25/wsd_20000_24000.csv
     9b9bd40f519d20ecbf540d4c9451f6a01b7b379b1d335407ba4651025cc5926f 1992 loss_curve_repo/csv_25/wsdcon_18.csv
     3d37fcf82c237e5c1ba2ee34c4b9e606ecba781536d4fea9a7dde5463207fc3d 2719 loss_curve_repo/csv_25/wsdcon_3.csv
     b7579f38b5e175d9e9dc9b9598b409efdf2cba0a68819857ba28649c242c2bd8 1889 loss_curve_repo/csv_25/wsdcon_9.csv
     8e3a9ae33ed586e5040a114fad215f4f245c6a2ff7d96f61cba02ccd8b74b3e7 3914 loss_curve_repo/csv_25/wsdld_20000_24000.csv
     5d91536675592acdc40ea56f71ca24ee9026243e51a0a791ac25b631381c45ee 3516 loss_curve_repo/csv_400/constant_24000.csv
     a453ef82f549470cc8250723917668801436dd835fd17bbf71e1fd77d00a3b6c 11349 loss_curve_repo/csv_400/constant_72000.csv
     aa18c9dbad66610d2037249bbcbf08fdce0983aa486b876ba95c2e3fb6fc0dce 6147 loss_curve_repo/csv_400/cosine_24000.csv
     347acbdc80042cb7cfe0dcb28580a2780718ccbad23443d4de76821f0a1ab41e 19784 loss_curve_repo/csv_400/cosine_72000.csv
     8a56dbd8f6b553b42ca8b3f4be9822cf5b7458a6c1b7ae0ddc6ac57b2893dea7 4001 loss_curve_repo/csv_400/wsd_20000_24000.csv
     998aaf3fd14de43fe754c7250885d7f72e20e7a210b1ea205a8af37ea8b22951 2292 loss_curve_repo/csv_400/wsdcon_18.csv
     e1a896755ea1e1a6a4648a503be6a19eb62fc7ef12fbab3440a66f7a94197ac6 3240 loss_curve_repo/csv_400/wsdcon_3.csv
     497aa4a60df8f520e11e212a990dcf70e8bfd89e814f295dc5476af630aac768 2166 loss_curve_repo/csv_400/wsdcon_9.csv
     7c5d5141d917955491732606e8817e7fdbd4bc2036e508e1610ab8bd252267dc 3900 loss_curve_repo/csv_400/wsdld_20000_24000.csv
    """,
)

CHINCHILLA = _files(
    "epoch-research/analyzing-chinchilla",
    "92258837425e1b5f2851d624287f0120583a3d0e",
    """
     193478df4e90f040016431996c45682659306840ecdadf83cfb9cd5ca0aa1b30 23224 data/svg_extracted_data.csv
    """,
)

SCORES = _files(
    "ryoungj/ObsScaling",
    "4d6e1e43fd2635d04654aa77d1df9d5266ea0382",
    """
     511996815735a4c46251dc585dcc525e370d148201f86561e6f927f9df2d0db8 28155 eval_results/base_llm_benchmark_eval.csv
    """,
)

MIXTURES = _files(
    "sail-sg/regmix",
    "b004d3a3f39846dcec6b3740da22bcd1ba95a5d0",
    """
     dd38052949c0a5f84165bdcb3ae3a331c7f07efd9bb83848bd579dfc4ce75a2c 6393 data/test_mixture_1B.csv
     197267b7d6f15367e2f46c881e564c35b0d34e51b1754bb09d07e650cf8e1ce8 23537 data/test_mixture_1m.csv
     197267b7d6f15367e2f46c881e564c35b0d34e51b1754bb09d07e650cf8e1ce8 23537 data/test_mixture_60m.csv
     b2451e2b7fa15400688edc39e4d32f21ccbe0fb356e07d62a0e9ccddf247114f 10639 data/test_pile_loss_1B.csv
     e027b1674f60140a65a87b5e4a59ab5f09dc33e8fd02c080682678074b160f53 61175 data/test_pile_loss_1m.csv
     8fe69d59ab7dd4fae4736459f4265ec93c7ed1ad1eca407346052560edc72b5b 61827 data/test_pile_loss_60m.csv
     04a32ef4ab594376bf90e11404c033668f887c351d6a03ad3744824c7296a2d8 46412 data/train_mixture_1m.csv
     49a959aa07ce5c20831d5abe3a7896ff0cd90a398bd407c8913fd5588be0465a 121898 data/train_pile_loss_1m.csv
    """,
)

BENCHMARKS = _files(
    "epoch-research/benchmark-stitching",
    "f87d3cc8e8a8f8471be475ebce58fb9a73b4e756",
    """
     24f7dbb26ed3efdbc891cd5daf7259c82fc86ef796bdb081f5d69e4921770b00 3403 data/benchmark_optim.csv
     5907dfcbd446aeec61d20a0d971be3b6ca07ecf46f40ada3a4b8e26a656b70a8 237118 data/benchmarks_runs.csv
     020086010f6bdd3bff393ef3dd35a772436415226f0e502b1148a0047243e0cc 10549 data/external_benchmark_aider_polyglot.csv
     6f455864562b479a5976b27b7f467a30eff58c96e9bc2d6aafdedb8f383d4650 3517 data/external_benchmark_anli.csv
     4b227f7d3d4f7205f331cc8b38da6ebb93354fc554360e8bb7838012274de7c3 6907 data/external_benchmark_arc_agi.csv
     73d2913f18b3541d4ef1632bbe1159db26ba7cff22bc57164a69447944db7208 18942 data/external_benchmark_arc_ai2.csv
     5292e9d495e27d24c974bdee085d8f61950b435d963420cfd0446903d088dcc2 6793 data/external_benchmark_balrog.csv
     952840e40e7be7ed16ab9c6a7b1ec8d6e0798d2d8a2d0a8e7a82f4cd371a5bc2 11152 data/external_benchmark_bbh.csv
     73a02a913b76378bec0ab82171fc9ab9e20986cbc9ee5e02d4f2cc8dd077ed00 3528 data/external_benchmark_cadeval.csv
     80ec45c44ceb5e49b581cafe2972eb3341f4e3d8d5e9930817a1f572d1b3df49 1487 data/external_benchmark_csqa2.csv
     c2f691d9da3112f483785bc01e6d6f94e5565b8dcbb222ecf5702de22e2e372d 2728 data/external_benchmark_cybench.csv
     45636c6da16389aefb62f9e9331875ffd8ddc84fad8adba33118191f3137672a 1551 data/external_benchmark_deepresearch.csv
     d17880ea192747e15417ad5c429fbae2ae019e5695929875eea87d8139641352 1904 data/external_benchmark_factorio_learning_environment.csv
     67d0128f067410e45337f1df5458c2719dd48ead985502c86a1a5659edc5754d 13313 data/external_benchmark_fictionlivebench.csv
     ef546f421267e903757e6e2931d39255dfc461521921c75a84b84dabbced01de 5460 data/external_benchmark_geobench.csv
     8606ddd2cd8cbedd3aad9efadc76e45e7b3db9a053c0ddad0fe86427862e3ca5 30354 data/external_benchmark_gsm8k.csv
     d2592c18feec9ead53892ed7902a5818a418bb0b9cec45eb25514f28e99e3459 1757 data/external_benchmark_gso_bench.csv
     6e812925ca86fddcb3faf0c3f5b9cc44c6e00890aeda99bde98d96179b89eaae 17628 data/external_benchmark_hellaswag.csv
     8b003e7626585053bfdead814489b662f3d340907877e71f7834cd0d3a4a9e7f 10419 data/external_benchmark_lambada.csv
     60cdcf595807204610be50e48c397ba27f133ce41a87c6a86430a7015227233c 5653 data/external_benchmark_lech_mazur_writing.csv
     a816646abde0bda45a8118fc253842fb333b3df8215b26794c1f2c451da08414 11009 data/external_benchmark_livebench.csv
     6bd3bb6d9eba5d841d905a9dd56ac11650da7563c6c1efab5c03d3929bff05a8 34616 data/external_benchmark_mmlu.csv
     deb1cdaf00be63c99dbcfda0fd4abaea6649354a4a05113fd6474dde49dac323 10504 data/external_benchmark_openbookqa.csv
     0ce84c19eab4b9df4d1e7733a214f410e450731f0027cf63cf9162992aa665c8 6056 data/external_benchmark_os_world.csv
     12e2635a7da3e1d6d6bde7a52860b4ae5724fd980f6fa4556186d54e7ea4df59 1908 data/external_benchmark_osuniverse.csv
     dd2ffd7ba5aae9a84bff2f45700a401611ffc19d69194952ffc13e623c3e3a16 18469 data/external_benchmark_piqa.csv
     01853dc4f43c3f711727dafdbfec581b78631314f95578dd72fcfe72cb12d031 13782 data/external_benchmark_scienceqa.csv
     b299fc36d0a20733e67e46ec579e2e5109bc8b240fa1e7a5bcb5419cf34f103c 4602 data/external_benchmark_simple_bench.csv
     66d09c3c47db5ca6e30e05e3c2284a526fec2e4d4c0ee87d5d3f69f93d542b56 1675 data/external_benchmark_superglue.csv
     345a38e18b2c17e7f5c92dd8d3fd462b551c43791b1bea31c800395e50da077e 8121 data/external_benchmark_terminal_bench.csv
     56bd6c5404a8cd766b5f6bd87dfd0b2f2d79c663e145ce0700bb7ce1a04abfca 5535 data/external_benchmark_the_agent_company.csv
     c1f3489eb3faa7830d3378b531783c9010e530ea49f0d814eba76158bbd5f4a9 15965 data/external_benchmark_triviaqa.csv
     440fb4ec0cee1b4c0e64729d089825dd711c5fdc7dcec8a74d214ce60b209862 8479 data/external_benchmark_videomme.csv
     88818218a894b26b1232bdf6af1f7062f3b5faed8c796b13a4b95b2ab84a42d7 3156 data/external_benchmark_vpct.csv
     83f5daf7a1685db0d07f4d5052533f42e0913717b2733a395f8ba25c55613000 9141 data/external_benchmark_weirdml.csv
     53c7ed0d229d5566166bb7ddb19764bda7000bb59603e727f16e8626de071445 20538 data/external_benchmark_winogrande.csv
     08025ffc7b5c00781dd86ef5261f38b2204ed6d5b36160c61af3d9c8da9a10e6 93736 data/model_versions.csv
    """,  # noqa: E501
)

HORIZONS = _files(
    "epoch-research/benchmark-stitching",
    "f87d3cc8e8a8f8471be475ebce58fb9a73b4e756",
    """
     9665b4f6a2d5a2cfe0600b8afbdf126eafc9e2c6e7435474d96044202c390953 6481 data/external_benchmark_metr.csv
     08025ffc7b5c00781dd86ef5261f38b2204ed6d5b36160c61af3d9c8da9a10e6 93736 data/model_versions.csv
    """,
)
