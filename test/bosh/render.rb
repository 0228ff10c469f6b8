#!/usr/bin/env ruby
# frozen_string_literal: true

# Renders the templates of one BOSH job as a director does: properties are cut down to what the job's spec
# declares and filled with its defaults, then every template and `monit` goes through ERB.
#
# stdin: {"job": DIR, "out": DIR, "properties": {…}, "links": {…}, "spec": {…}}
# stdout: {"files": [PATH…], "read": [PROPERTY…], "errors": [{"template", "kind", "message"}…]}
# The exit status is 1 when a template failed; the other templates are rendered all the same, as the
# director reports all errors of a deployment at once.

require 'erb'
require 'fileutils'
require 'json'
require 'ostruct'
require 'set'
require 'yaml'

class UnknownProperty < StandardError
  def initialize(names)
    super("Can't find property '#{Array(names).join("', or '")}'")
  end
end

class UnknownLink < StandardError
  def initialize(name)
    super("Can't find link '#{name}'")
  end
end

class InvalidPropertyType < StandardError
  def initialize(name, found)
    super("Property '#{name}' expects a hash, but received '#{found.class}'")
  end
end

# Dotted names in nested hashes. Nothing distinguishes a missing property from one that is null.
module Properties
  module_function

  def find(hash, name)
    name.split('.').reduce(hash) { |at, key| at.nil? ? nil : at[key] }
  end

  def find_strictly(hash, name)
    name.split('.').reduce(hash) do |at, key|
      break nil if at.nil?
      raise InvalidPropertyType.new(name, at) unless at.is_a?(Hash)

      at[key]
    end
  end

  def put(hash, name, value)
    *parents, last = name.split('.')
    parents.reduce(hash) { |at, key| at[key] ||= {} }[last] = value
  end

  # What a job receives: the declared properties alone, each with its default where the manifest has none.
  def for_job(declared, manifest)
    declared.each_with_object({}) do |(name, definition), all|
      given = find_strictly(manifest, name)
      put(all, name, given.nil? ? definition&.fetch('default', nil) : given)
    end
  end
end

# `p` and `if_p` on one set of properties; what they looked at is remembered.
module Lookup
  def p(*args)
    names = Array(args[0])
    names.each do |name|
      value = look(name)
      return value unless value.nil?
    end
    return args[1] if args.length == 2

    raise UnknownProperty, names
  end

  def if_p(*names)
    values = names.map do |name|
      value = look(name)
      return ElseTaken.new(self) if value.nil?

      value
    end
    yield(*values)
    ElseSkipped.new
  end

  # `if_p(…) do … end.else do … end`: runs its block because the properties were missing.
  class ElseTaken
    def initialize(context)
      @context = context
    end

    def else
      yield
    end

    def else_if_p(*names, &block)
      @context.if_p(*names, &block)
    end

    def else_if_link(name, &block)
      @context.if_link(name, &block)
    end
  end

  class ElseSkipped
    def else; end

    def else_if_p(*)
      self
    end

    def else_if_link(*)
      self
    end
  end
end

class LinkInstance
  include Lookup
  attr_reader :name, :index, :id, :az, :address, :properties, :bootstrap

  def initialize(data)
    %w[name index id az address properties bootstrap].each { |key| instance_variable_set("@#{key}", data[key]) }
  end

  def look(name)
    Properties.find(@properties, name)
  end
end

class Link
  include Lookup
  attr_reader :instances, :properties, :address

  def initialize(data)
    @instances = data.fetch('instances').map { |instance| LinkInstance.new(instance) }
    @properties = data['properties']
    @address = data['address']
  end

  def look(name)
    Properties.find(@properties, name)
  end
end

# `self` of a template.
class Context
  include Lookup
  attr_reader :name, :index, :spec, :properties, :raw_properties, :read

  def initialize(spec, properties, links)
    @name = spec.dig('job', 'name')
    @index = spec['index']
    @raw_properties = properties
    @properties = open(properties)
    @spec = open(spec.merge('properties' => properties, 'links' => links))
    @links = links
    @read = Set.new
  end

  def look(name)
    @read << name
    Properties.find(@raw_properties, name)
  end

  def link(name)
    data = Properties.find(@links, name)
    raise UnknownLink, name unless data.is_a?(Hash) && data.key?('instances')

    Link.new(data)
  end

  def if_link(name)
    data = Properties.find(@links, name)
    return ElseTaken.new(self) unless data.is_a?(Hash) && data.key?('instances')

    yield Link.new(data)
    ElseSkipped.new
  end

  def get_binding
    binding
  end

  private

  def open(value)
    case value
    when Hash then OpenStruct.new(value.transform_values { |inner| open(inner) })
    when Array then value.map { |inner| open(inner) }
    else value
    end
  end
end

# One job of a release, with the modes that the agent gives the files.
class Job
  def initialize(dir)
    @dir = dir
    @spec = YAML.safe_load(File.read(File.join(dir, 'spec')))
  end

  def templates
    @spec.fetch('templates', {}).map { |source, target| [File.join(@dir, 'templates', source), target] } +
      [[File.join(@dir, 'monit'), 'monit']]
  end

  def context(request)
    properties = Properties.for_job(@spec.fetch('properties', nil) || {}, request.fetch('properties'))
    known = (@spec['consumes'] || []).map { |link| link['name'] }
    stray = request.fetch('links').keys - known
    raise UnknownLink, stray.first unless stray.empty?

    Context.new({ 'job' => { 'name' => @spec['name'] } }.merge(request.fetch('spec')), properties, request.fetch('links'))
  end

  def render(request)
    context = context(request)
    files = []
    errors = []
    templates.each do |source, target|
      files << write(source, File.join(request.fetch('out'), target), context)
    rescue ScriptError, StandardError => e
      errors << { template: target, kind: e.class.name, message: e.message }
    end
    { files: files, read: context.read.to_a.sort, errors: errors }
  end

  private

  def write(source, target, context)
    erb = ERB.new(File.read(source), trim_mode: '-')
    erb.filename = source
    text = erb.result(context.get_binding)
    FileUtils.mkdir_p(File.dirname(target))
    File.write(target, text)
    File.chmod(target.include?('/bin/') ? 0o755 : 0o640, target)
    target
  end
end

request = JSON.parse($stdin.read)
begin
  result = Job.new(request.fetch('job')).render(request)
rescue UnknownLink, InvalidPropertyType => e
  result = { files: [], read: [], errors: [{ template: nil, kind: e.class.name, message: e.message }] }
end
puts JSON.generate(result)
exit(result[:errors].empty? ? 0 : 1)
