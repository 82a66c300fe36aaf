// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Stages up to laid-out run once; what follows depends on the instruction set and runs once per target, on a copy. All targets share the
// places of weights, so one safetensors file serves them.

#include "Driver/Compile.h"

#include "Driver/Console.h"
#include "Driver/Crash.h"
#include "Driver/Dump.h"
#include "Driver/Load.h"
#include "Driver/Report.h"
#include "Driver/ScheduleTrials.h"
#include "Emit/Artifact.h"
#include "Emit/Cpu.h"
#include "Emit/ExportFiles.h"
#include "Emit/Gpu.h"
#include "Emit/Link.h"
#include "Emit/OutputFile.h"
#include "Emit/TargetNames.h"
#include "Encode/ChooseTokens.h"
#include "Encode/FormatRules.h"
#include "Lower/WarpgroupKernel.h"
#include "Pipeline.h"
#include "Register.h"
#include "Whit/Whit.h"

#include "runtime/trust/TrustStore.h"

#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/IR/Remarks.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FormatVariadic.h"

#include <future>
#include <numeric>

using namespace llvm;

namespace whit {
namespace {

/// The first stage that depends on the target.
const size_t kPerTarget = stageIndex("tiled"), kLowered = stageIndex("lowered"), kEmitted = stageIndex("emitted");

class Compiler {
public:
  Compiler(const CompileOptions &options, const CompileOutlet &outlet)
      : options(options), outlet(outlet),
        console(outlet.messages, options.jsonDiagnostics, options.quiet, outlet.isTerminal) {}
  Exit run();

private:
  Exit resolveTargets();
  Exit checkTargets();
  Exit runPipeline();
  Exit checkPatterns();
  Exit runStage(size_t stage);
  bool runPasses(mlir::ModuleOp module, size_t stage);
  Exit tileAgain(size_t index, size_t last);
  Exit emitShared(size_t number);
  Exit emitText();
  Exit emitDevice();
  Expected<CpuCode> generateVariant(size_t index);
  void noteKernels(const CpuCode &code, mlir::ModuleOp lowered);
  void noteTrials();
  Exit emitKernels();
  Exit writeText(StringRef path, StringRef text);
  Exit finish();
  void copyForTargets();
  void remember(size_t stage);
  size_t stageCount() const { return stageIndex(options.stopAfter) + 1; }
  size_t operationCount() const;

  const CompileOptions &options;
  const CompileOutlet &outlet;
  Console console;
  Report report;
  RemarkLog remarks;
  std::vector<Target> targets; ///< best first
  std::unique_ptr<mlir::MLIRContext> context;
  /// One module up to laid-out, then one per target.
  std::vector<mlir::OwningOpRef<mlir::ModuleOp>> modules;
  std::vector<ScheduleTrials> trials; ///< of each of the modules, where they are for GPUs
};

Exit Compiler::resolveTargets() {
  for (const std::string &text : options.targets.empty() ? std::vector<std::string>{"host"} : options.targets) {
    auto target = resolveTarget(text);
    if (!target)
      return console.print(target.takeError());
    if (none_of(targets, [&](const Target &known) {
          return known.cpu == target->cpu && known.features == target->features && known.machine == target->machine;
        }))
      targets.push_back(std::move(*target));
  }
  sortBestFirst(targets);
  return checkTargets();
}

/// One module is compiled up to the places of weights, which kernels of CPUs and GPUs read alike; at run time a variant is chosen by its
/// architecture. A session opens one kind of device, so that an artifact is for one kind beside CPUs.
Exit Compiler::checkTargets() {
  for (const Target &target : targets) {
    if (target.isGpu() && target.kind != targets[0].kind)
      return console.print(fail(Exit::Usage,
                                "--target: " + targets[0].name + " and " + target.name +
                                    " are GPUs of two kinds; an artifact is for one, and for CPUs",
                                "", "compile once for NVIDIA and once for AMD"));
    for (const Target &other : targets)
      if (target.isGpu() && &target != &other && target.cpu == other.cpu)
        return console.print(fail(Exit::Usage,
                                  "--target: " + target.name + " and " + other.name +
                                      " are one architecture; the code for one runs on both",
                                  "", "choose one"));
  }
  const Target &target = targets[0];
  bool isNvidia = options.emit == EmitKind::Ptx || options.emit == EmitKind::Cubin;
  if ((isNvidia && target.kind != TargetKind::Nvptx) ||
      (options.emit == EmitKind::Hsaco && target.kind != TargetKind::Amdgpu))
    return console.print(fail(Exit::Usage,
                              "--emit: " + target.name + " has no " +
                                  (options.emit == EmitKind::Ptx     ? "PTX"
                                   : options.emit == EmitKind::Cubin ? "cubin"
                                                                     : "HSACO"),
                              "",
                              isNvidia ? "PTX and cubins are of NVIDIA: add --target=sm_80, or another sm_ architecture"
                                       : "HSACOs are of AMD: add --target=gfx942, or another gfx architecture"));
  if (options.simulation && !target.isGpu())
    return console.print(
        fail(Exit::Usage, "--simulation: " + target.name + " is no GPU", "", "add for example --target=sm_80"));
  return Exit::Done;
}

size_t Compiler::operationCount() const {
  size_t count = 0;
  for (const auto &module : modules)
    const_cast<mlir::OwningOpRef<mlir::ModuleOp> &>(module)->walk([&](mlir::Operation *) { ++count; });
  return count;
}

void Compiler::copyForTargets() {
  while (modules.size() < targets.size())
    modules.push_back(modules[0]->clone());
  for (auto [module, target] : zip_equal(modules, targets))
    setTarget(*module, target);
}

void Compiler::remember(size_t stage) {
  if (outlet.keepsReproducers && modules.size() == 1)
    rememberForCrash(stageNames()[stage], moduleText(*modules[0]));
}

/// What a failure after a stage means: up to fused, passes refuse what the user asked for; later ones have no reason to.
static Exit exitOfStage(size_t stage) { return stage <= stageIndex("fused") ? Exit::Unsupported : Exit::Bug; }

/// The pass would refuse them too, but as something that Whit cannot do.
Exit Compiler::checkPatterns() {
  auto rules = mlir::whit::FormatRules::read(options.keep, options.formatMap, options.weights);
  std::string why = rules ? rules->firstUnused(*modules[0]) : toString(rules.takeError());
  return why.empty() ? Exit::Done
                     : console.print(fail(Exit::Usage, why, options.model, "--stop-after=imported prints all names"));
}

bool Compiler::runPasses(mlir::ModuleOp module, size_t stage) {
  mlir::whit::PipelineOptions choices{options.weights,     options.formatMap, options.keep,       options.quantizer,
                                      options.activations, options.kv,        options.kvHadamard, options.context,
                                      /*isGpu=*/false,     options.requantize};
  choices.isGpu = getTarget(module).isGpu();
  if (options.largeM != "auto")
    module->setAttr(mlir::whit::kLargeM, mlir::StringAttr::get(context.get(), options.largeM));
  if (options.chooseTokens)
    module->setAttr(mlir::whit::kChooseTokens, mlir::UnitAttr::get(context.get()));
  mlir::PassManager passes(context.get());
  mlir::whit::buildStage(passes, stageNames()[stage], choices);
  if (mlir::failed(passes.run(module)))
    return false;
  if (stage == kLowered && choices.isGpu && options.mostRegisters)
    limitRegisters(module, getTarget(module), options.mostRegisters);
  return true;
}

/// Takes a variant back to where schedules are chosen, and up to `last` again.
Exit Compiler::tileAgain(size_t index, size_t last) {
  modules[index] = trials[index].next();
  for (size_t stage = kPerTarget; stage <= last; ++stage) {
    remarks.setStage(stageNames()[stage]);
    if (!runPasses(*modules[index], stage))
      return exitOfStage(stage);
    if (options.dumpStages.empty())
      continue;
    if (Error error =
            dumpStage(*modules[index], options.dumpStages, stage, modules.size() > 1 ? targets[index].name : ""))
      return console.print(std::move(error));
  }
  remarks.setStage("emitted");
  return Exit::Done;
}

Exit Compiler::runStage(size_t stage) {
  const std::string &name = stageNames()[stage];
  if (stage == kPerTarget) {
    copyForTargets();
    trials.clear();
    for (const auto &module : modules)
      trials.emplace_back(getTarget(*module).isGpu() ? module.get().clone() : mlir::ModuleOp());
  }
  remarks.setStage(name);
  Console::Stage progress(console, stage + 1, stageCount(), name);
  if (name == "encoded")
    if (Exit exit = checkPatterns(); exit != Exit::Done)
      return exit;
  for (auto [index, module] : enumerate(modules)) {
    progress.setProgress(modules.size() > 1 ? double(index) / modules.size() : -1);
    if (!runPasses(*module, stage)) {
      Exit exit = exitOfStage(stage);
      if (exit == Exit::Bug)
        if (std::string path = outlet.keepsReproducers ? writeReproducer("Stage " + name + " failed.") : "";
            !path.empty())
          console.line("reproducer: " + path);
      return exit;
    }
  }
  size_t operations = operationCount();
  progress.finish(grouped(operations) + " operations" +
                  (modules.size() > 1 ? ", " + Twine(modules.size()) + " targets" : ""));
  report.stages.push_back({name, progress.seconds(), operations});
  return Exit::Done;
}

Exit Compiler::runPipeline() {
  size_t first = stageIndex(options.startFrom);
  Exit exit = Exit::Done;
  {
    Console::Stage progress(console, first + 1, stageCount(), stageNames()[first]);
    mlir::OwningOpRef<mlir::ModuleOp> module = loadModel(options, *context, console, exit);
    if (!module)
      return exit;
    // A module of a later stage was made for a target; another one must be asked for.
    if (first >= kPerTarget && options.targets.empty() && (*module)->hasAttr("whit.target")) {
      targets = {getTarget(*module)};
      if (Exit refused = checkTargets(); refused != Exit::Done)
        return refused;
    }
    // Shared stages see the best target.
    setTarget(*module, targets[0]);
    modules.push_back(std::move(module));
    if (first >= kPerTarget)
      copyForTargets();
    size_t weights = range_size(modules[0]->getOps<mlir::whit::WeightOp>());
    progress.finish(grouped(operationCount()) + " operations, " + grouped(weights) + " weights");
    report.stages.push_back({stageNames()[first], progress.seconds(), operationCount()});
  }
  // Kernels go their own ways from there.
  size_t last = options.exportKernels.empty() ? std::min(stageIndex(options.stopAfter), kLowered) : kPerTarget;
  for (size_t stage = first; stage <= last; ++stage) {
    if (stage > first)
      if (Exit failed = runStage(stage); failed != Exit::Done)
        return failed;
    remember(stage);
    if (options.dumpStages.empty())
      continue;
    for (auto [index, module] : enumerate(modules))
      if (Error error = dumpStage(*module, options.dumpStages, stage, modules.size() > 1 ? targets[index].name : ""))
        return console.print(std::move(error));
  }
  return Exit::Done;
}

Exit Compiler::writeText(StringRef path, StringRef text) {
  auto file = OutputFile::create(path);
  if (!file)
    return console.print(file.takeError());
  if (Error error = file->write(text))
    return console.print(std::move(error));
  if (Error error = file->commit())
    return console.print(std::move(error));
  return Exit::Done;
}

Exit Compiler::emitText() {
  if (options.emit == EmitKind::Mlir)
    return writeText(options.output, moduleText(*modules[0]));
  if (targets[0].isGpu())
    return emitDevice();
  LLVMContext llvmContext;
  auto module = optimizedModule(*modules[0], targets[0], 0, llvmContext);
  if (!module)
    return console.print(module.takeError());
  if (options.emit == EmitKind::Assembly) {
    auto text = assemblyText(**module, targets[0]);
    return text ? writeText(options.output, *text) : console.print(text.takeError());
  }
  std::string text;
  raw_string_ostream(text) << **module;
  return writeText(options.output, text);
}

/// The kernels alone; what runs on the CPU is the same for all GPUs.
Exit Compiler::emitDevice() {
  const Target &target = targets[0];
  trials.resize(modules.size());
  while (true) {
    auto code = generateDeviceCode(*modules[0], target, /*simulation=*/false);
    if (!code)
      return console.print(code.takeError());
    if (!trials[0].note({{*modules[0], code->kernels, {}}}))
      break;
    if (Exit exit = tileAgain(0, kLowered); exit != Exit::Done)
      return exit;
  }
  noteTrials();
  if (options.emit == EmitKind::Llvm) {
    LLVMContext llvmContext;
    auto device = optimizedDeviceModule(*modules[0], target, llvmContext);
    if (!device)
      return console.print(device.takeError());
    std::string text;
    raw_string_ostream(text) << *device->module;
    return writeText(options.output, text);
  }
  if (options.emit == EmitKind::Assembly) {
    LLVMContext llvmContext;
    auto device = optimizedDeviceModule(*modules[0], target, llvmContext);
    if (!device)
      return console.print(device.takeError());
    auto text = deviceAssembly(*device->module, target);
    return text ? writeText(options.output, *text) : console.print(text.takeError());
  }
  auto image = deviceImage(*modules[0], target,
                           options.emit == EmitKind::Ptx     ? ImageKind::Ptx
                           : options.emit == EmitKind::Cubin ? ImageKind::Cubin
                                                             : ImageKind::Hsaco);
  if (!image)
    return console.print(image.takeError());
  return writeText(options.output, StringRef(reinterpret_cast<const char *>(image->bytes.data()), image->bytes.size()));
}

void Compiler::noteKernels(const CpuCode &code, mlir::ModuleOp lowered) {
  mlir::SymbolTableCollection symbols;
  for (const KernelFacts &kernel : code.device.kernels) {
    mlir::Location place = lowered.getLoc();
    for (auto device : lowered.getOps<mlir::gpu::GPUModuleOp>())
      if (mlir::Operation *function = symbols.lookupSymbolIn(device, mlir::StringAttr::get(context.get(), kernel.name)))
        place = function->getLoc();
    mlir::remark::analysis(place, mlir::remark::RemarkOpts::name("kernel").category("emit"))
        << code.target.cpu + " " + kernel.name + ": " + factsText(kernel);
    report.kernels.push_back({code.target.cpu, kernel});
  }
}

void Compiler::noteTrials() {
  for (auto [tried, target, module] : zip_equal(trials, targets, modules)) {
    for (const auto &[location, text] : tried.replacements())
      mlir::remark::missed(location, mlir::remark::RemarkOpts::name("spill").category("emit"))
          << target.cpu + " " + text;
    for (const std::string &text : tried.warnings()) {
      mlir::remark::missed(module.get().getLoc(), mlir::remark::RemarkOpts::name("spill").category("emit"))
          << target.cpu + " " + text;
      console.warn(target.cpu + ": " + text, options.model, "");
    }
  }
}

Expected<CpuCode> Compiler::generateVariant(size_t index) {
  auto code = generateCode(*modules[index], targets[index], index);
  if (!code || !targets[index].isGpu())
    return code;
  auto device = generateDeviceCode(*modules[index], targets[index], options.simulation);
  if (!device)
    return device.takeError();
  code->device = std::move(*device);
  return code;
}

Exit Compiler::emitShared(size_t number) {
  remarks.setStage("emitted");
  Console::Stage progress(console, number, stageCount(), "emitted");
  // Each variant has a module and an LLVM context of its own. What spills is compiled again under another schedule.
  trials.resize(modules.size());
  std::vector<CpuCode> variants(modules.size());
  std::vector<size_t> pending(modules.size());
  std::iota(pending.begin(), pending.end(), 0);
  while (!pending.empty()) {
    std::vector<std::future<Expected<CpuCode>>> jobs;
    for (size_t index : pending)
      jobs.push_back(std::async(std::launch::async, [this, index] { return generateVariant(index); }));
    Error error = Error::success();
    std::vector<size_t> again;
    for (auto [index, job] : zip_equal(pending, jobs)) {
      Expected<CpuCode> code = job.get();
      if (!code) {
        error = joinErrors(std::move(error), code.takeError());
        continue;
      }
      variants[index] = std::move(*code);
      if (targets[index].isGpu() && trials[index].note({{*modules[index], variants[index].device.kernels, {}}}))
        again.push_back(index);
    }
    if (error)
      return console.print(std::move(error));
    for (size_t index : again)
      if (Exit exit = tileAgain(index, kLowered); exit != Exit::Done)
        return exit;
    pending = std::move(again);
  }
  auto linked = linkCode(variants);
  if (!linked)
    return console.print(linked.takeError());
  ArtifactRequest request{
      options.output,
      options.model,
      options.embedWeights,
      options.dims,
      meaningOf(options),
      [&](int64_t done, int64_t total) { progress.setProgress(double(done) / std::max<int64_t>(total, 1)); }};
  auto artifact = writeArtifact(*modules[0], variants, std::move(*linked), request);
  if (!artifact)
    return console.print(artifact.takeError());
  int64_t functions = 0;
  size_t kernels = 0;
  for (auto [code, module] : zip_equal(variants, modules)) {
    functions += code.functions;
    kernels += code.device.kernels.size();
    noteKernels(code, *module);
  }
  noteTrials();
  progress.finish(grouped(functions) + " functions, " + (kernels ? grouped(kernels) + " kernels, " : "") +
                  sizeText(artifact->codeBytes) + " code, " + grouped(artifact->weightCount) + " weights of " +
                  sizeText(artifact->weightBytes));
  report.stages.push_back({"emitted", progress.seconds(), size_t(functions)});
  report.artifact = *artifact;
  if (const std::string &note = variants[0].device.note; !note.empty())
    console.line(note);
  if (WeightLossTotal total = totalOf(artifact->losses); total.converted)
    console.line(sentenceOf(total));
  std::string why;
  if (!recordTrust(artifact->identity, options.output, &why))
    console.warn("the artifact is written, but not recorded as trusted: " + why, options.output, "run it with --trust");
  return Exit::Done;
}

Exit Compiler::emitKernels() {
  remarks.setStage("emitted");
  Console::Stage progress(console, kEmitted + 1, stageCount(), "emitted");
  if (targets[0].isGpu() && any_of(options.exportAs, [](const std::string &kind) { return kind != "c"; }))
    return console.print(fail(Exit::Usage, "kernels of a GPU are exported as c; found --target=" + targets[0].name +
                                               " --export-as=" + join(options.exportAs, ",")));
  auto taken = namesInUse();
  if (!taken)
    return console.print(taken.takeError());
  auto isTaken = [&](StringRef name) {
    return taken->contains(name) || isLibraryFunction(name) || name.starts_with("whit_");
  };
  auto lower = [&](mlir::ModuleOp module) {
    return runPasses(module, kLowered) ? Error::success() : fail(Exit::Bug, "an exported kernel cannot be lowered");
  };
  trials.resize(modules.size());
  std::optional<SelectedKernels> selected;
  std::optional<ExportedCode> code;
  while (true) {
    auto found = selectKernels(*modules[0], options.exportKernels, isTaken);
    if (!found)
      return console.print(found.takeError());
    selected = std::move(*found);
    if (selected->kernels.empty())
      break;
    auto compiled = compileKernels(selected->kernels, targets[0], callsOf(options.exportAs), options.simulation, lower);
    if (!compiled)
      return console.print(compiled.takeError());
    code = std::move(*compiled);
    std::vector<ScheduleTrials::Compiled> round;
    for (auto [kernel, device] : zip(selected->kernels, code->devices)) {
      std::vector<int64_t> regions;
      for (const ExportedRegion &region : kernel.regions)
        regions.push_back(region.id);
      round.push_back({*kernel.module, device.kernels, std::move(regions)});
    }
    if (!trials[0].note(round))
      break;
    if (Exit exit = tileAgain(0, kPerTarget); exit != Exit::Done)
      return exit;
  }
  noteTrials();
  for (const std::string &refused : selected->refused)
    console.warn(refused, options.model, "");
  if (selected->kernels.empty())
    return console.print(
        fail(Exit::Unsupported, "no region that --export-kernels names can stand alone", options.model));
  if (Error error =
          writeKernels(selected->kernels, *code, targets[0], {options.output, options.model, options.exportAs}))
    return console.print(std::move(error));
  size_t regions = 0;
  for (const ExportedKernel &kernel : selected->kernels)
    regions += kernel.regions.size();
  progress.finish(grouped(selected->kernels.size()) + " kernels of " + grouped(regions) + " regions, " +
                  sizeText(code->shared.size()));
  report.stages.push_back({"emitted", progress.seconds(), selected->kernels.size()});
  return Exit::Done;
}

Exit Compiler::finish() {
  if (options.explain)
    if (Exit exit = writeText(*options.explain, remarks.text()); exit != Exit::Done)
      return exit;
  for (const Target &target : targets)
    report.targets.push_back(target.name);
  if (!options.facts.empty()) {
    std::string rows;
    for (auto [tried, target] : zip(trials, targets))
      rows += tried.rows(options.model, target.cpu, target.machine.name);
    if (Exit exit = writeText(options.facts, rows); exit != Exit::Done)
      return exit;
  }
  if (!options.report.empty())
    return writeText(options.report, report.forFile(options.report, options, remarks.entries()));
  return Exit::Done;
}

Exit Compiler::run() {
  if (Exit exit = resolveTargets(); exit != Exit::Done)
    return exit;
  mlir::DialectRegistry registry;
  registerDialects(registry);
  registerTranslations(registry);
  context = std::make_unique<mlir::MLIRContext>(registry);
  context->loadAllAvailableDialects();
  context->printOpOnDiagnostic(false);
  if (options.explain || !options.report.empty())
    if (Error error = remarks.attach(*context))
      return console.print(std::move(error));

  size_t current = stageIndex(options.startFrom);
  mlir::ScopedDiagnosticHandler handler(context.get(), [&](mlir::Diagnostic &diagnostic) {
    console.print(diagnostic, exitOfStage(current + report.stages.size()));
    return mlir::success();
  });
  if (Exit exit = runPipeline(); exit != Exit::Done)
    return exit;
  Exit exit = !options.exportKernels.empty()           ? emitKernels()
              : options.emit == EmitKind::SharedObject ? emitShared(kEmitted + 1)
                                                       : emitText();
  return exit == Exit::Done ? finish() : exit;
}

} // namespace

Exit compile(const CompileOptions &options, const CompileOutlet &outlet) { return Compiler(options, outlet).run(); }

} // namespace whit
